"""The staff's surface of businesses, members, purchases and bonuses."""

from . import invitations, journal, ledger, partners, people, purchases, schedule

__all__ = ["invitations", "journal", "ledger", "partners", "people", "purchases", "schedule"]
