"""The staff's surface of businesses, members, purchases, bonuses and keys."""

from . import journal, keys, ledger, partners, people, purchases, schedule

__all__ = ["journal", "keys", "ledger", "partners", "people", "purchases", "schedule"]
