"""The nightly closing of lapsed lots, and the warnings before it.

A lapsed lot is not available before the closing runs either.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import F, Sum
from django.db.models.functions import TruncDate
from django.db.transaction import atomic
from django.utils import timezone

from loyalty.models import Bonus, BonusLot, Notification
from svoykrug.db.sql import Write

from .ledger_reads import load_further, open_ledger
from .messages import Message, queue

MEMBERS_AT_ONCE = 1000


def expire_bonuses(*, at: datetime) -> int:
    """Write the closing entries of every lot that lapsed by `at`. Returns how many members it touched.

    Safe to run twice and beside purchases: a thousand members are locked and closed at a time.
    """
    touched, last = 0, UUID(int=0)
    while members := _lapsing_after(last, at):
        with atomic():
            ledger, _ = open_ledger(members, recorded_at=at)
            load_further(ledger, until=at)
            for account in ledger.accounts.values():
                ledger.lapse(account, at=at)
            write = Write()
            ledger.write(write)
            write.execute()
        touched, last = touched + len(ledger.accounts), members[-1]
    return touched


def _lapsing_after(last: UUID, at: datetime) -> list[UUID]:
    lapsing = Bonus.objects.filter(expires_at__lte=at, member_id__gt=last).order_by("member_id")
    return list(lapsing.values_list("member_id", flat=True)[:MEMBERS_AT_ONCE])


def queue_expiry_warnings(*, at: datetime) -> int:
    """Queue a message for each member and day on which live bonuses lapse soon. Returns how many.

    One message for each of `EXPIRY_WARNING_DAYS`, with the sum still live; a night that was missed
    is made up for with the days that are left by then. Safe to run twice and at once: the key of a
    message is its member, day and step.
    """
    return queue(_warnings(_lapsing_soon(at), at))


def _lapsing_soon(at: datetime) -> Iterable[tuple[UUID, date, Decimal]]:
    """Return members, the last days of their lots within the longest step, and the sums."""
    last_day = timezone.localdate(at) + timedelta(days=max(settings.EXPIRY_WARNING_DAYS) + 1)
    lapse_by = timezone.make_aware(datetime.combine(last_day, datetime.min.time()))
    lots = BonusLot.objects.live(at).filter(
        # The balance's soonest expiry has an index; most members have none so near.
        member__bonuses__expires_at__lte=lapse_by,
        expires_at__lte=lapse_by,
        member__is_active=True,
        member__anonymised_at=None,
    )
    # Lots lapse at the first moment after their last day.
    by_day = lots.annotate(last_day=TruncDate(F("expires_at") - timedelta(microseconds=1)))
    sums = by_day.values("member_id", "last_day").annotate(sum=Sum("remaining")).order_by("member_id")
    return sums.values_list("member_id", "last_day", "sum").iterator()


def _warnings(lapsing: Iterable[tuple[UUID, date, Decimal]], at: datetime) -> Iterable[Message]:
    today = timezone.localdate(at)
    for member_id, last_day, amount in lapsing:
        days = (last_day - today).days
        step = min(step for step in settings.EXPIRY_WARNING_DAYS if step >= days)
        yield Message(
            member_id=member_id,
            template="bonuses_expiring",
            payload={"amount": f"{amount:.2f}", "expires_on": last_day.isoformat(), "days": days},
            purpose=Notification.Purpose.SERVICE,
            partner_id=None,
            dedupe_key=f"expiry:{member_id}:{last_day.isoformat()}:{step}",
            send_after=at,
        )
