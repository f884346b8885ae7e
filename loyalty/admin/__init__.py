"""The staff's surface of businesses, members, purchases, bonuses and keys."""

from . import invitations, journal, keys, ledger, partners, people, purchases, schedule

__all__ = ["invitations", "journal", "keys", "ledger", "partners", "people", "purchases", "schedule"]
