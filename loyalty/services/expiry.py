"""The nightly closing of lapsed lots. A lapsed lot is not available before it runs either."""

from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from loyalty.models import Bonus

from .ledger import open_ledger

MEMBERS_AT_ONCE = 1000


def expire_bonuses(*, at: datetime) -> int:
    """Write the closing entries of every lot that lapsed by `at`. Returns how many members it touched.

    Safe to run twice and beside purchases: a thousand members are locked and closed at a time.
    """
    touched, last = 0, UUID(int=0)
    while members := _lapsing_after(last, at):
        with atomic():
            ledger = open_ledger(members, until=at, recorded_at=at)
            for account in ledger.accounts.values():
                ledger.lapse(account, at=at)
            ledger.write()
        touched, last = touched + len(ledger.accounts), members[-1]
    return touched


def _lapsing_after(last: UUID, at: datetime) -> list[UUID]:
    lapsing = Bonus.objects.filter(expires_at__lte=at, member_id__gt=last).order_by("member_id")
    return list(lapsing.values_list("member_id", flat=True)[:MEMBERS_AT_ONCE])
