"""The staff's surface of businesses, members, purchases and bonuses."""

from . import deliveries, invitations, journal, ledger, partners, people, purchases, schedule, webhooks

__all__ = [
    "deliveries",
    "invitations",
    "journal",
    "ledger",
    "partners",
    "people",
    "purchases",
    "schedule",
    "webhooks",
]
