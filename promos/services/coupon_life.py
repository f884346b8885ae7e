"""What becomes of coupons without a purchase: they run out, their members are reminded, staff void them.

A coupon past its time is not redeemable before the nightly closing runs either.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.locks import lock_members
from loyalty.models import Notification
from loyalty.services.messages import Message, queue
from promos.coupon_messages import EXPIRING
from promos.coupon_wording import benefit_payload
from promos.errors import CouponNotVoidable
from promos.models import CampaignCoupon, Coupon

COUPONS_AT_ONCE = 1000
LONGEST_REASON = 200


def expire_coupons(*, at: datetime) -> int:
    """Mark every coupon that has run out by `at`. Returns how many.

    Safe to run twice and beside purchases: a coupon that a till holds just now is left for the
    next night. They are found by one reading of the table.
    """
    lapsed = Coupon.objects.filter(status=Coupon.Status.ISSUED, valid_until__lte=at).order_by("pk")
    found = list(lapsed.values_list("pk", flat=True))
    starts = range(0, len(found), COUPONS_AT_ONCE)
    return sum(_expire(found[start : start + COUPONS_AT_ONCE], at=at) for start in starts)


@atomic
def _expire(coupon_ids: Iterable[UUID], *, at: datetime) -> int:
    held = _hold_lapsed(coupon_ids, at=at)
    return Coupon.objects.filter(pk__in=held).update(status=Coupon.Status.EXPIRED, updated_at=at)


def _hold_lapsed(coupon_ids: Iterable[UUID], *, at: datetime) -> list[UUID]:
    """Hold those that are still to be used, until the transaction ends; not what a till holds."""
    rows = Coupon.objects.filter(pk__in=coupon_ids, status=Coupon.Status.ISSUED, valid_until__lte=at)
    held = rows.order_by("pk").select_for_update(skip_locked=True, no_key=True)
    return list(held.values_list("pk", flat=True))


def queue_coupon_warnings(*, at: datetime) -> int:
    """Queue a message for each coupon whose last days have come. Returns how many.

    One message for each coupon and last day, so a coupon that a refund has prolonged is told of
    again. A coupon of a chain or of a campaign is its business's advertising. A night that was
    missed is made up for. Safe to run twice and at once.
    """
    queued, warnings = 0, _warnings(at)
    while some := list(islice(warnings, COUPONS_AT_ONCE)):
        queued += queue(some)
    return queued


def _warnings(at: datetime) -> Iterator[Message]:
    today = timezone.localdate(at)
    ends_by = timezone.make_aware(
        datetime.combine(today + timedelta(days=settings.COUPON_WARNING_DAYS + 1), datetime.min.time())
    )
    given = CampaignCoupon.objects.filter(coupon=OuterRef("pk"))
    coupons = Coupon.objects.filter(
        status=Coupon.Status.ISSUED,
        valid_from__lte=at,
        valid_until__gt=at,
        valid_until__lte=ends_by,
        member__is_active=True,
        member__anonymised_at=None,
    )
    for coupon in coupons.select_related("business").annotate(of_campaign=Exists(given)).iterator():
        # Valid to the first moment after their last day.
        last_day = timezone.localdate(coupon.valid_until - timedelta(microseconds=1))
        # A coupon for a few days alone was told of when it came.
        if coupon.created_at > at - timedelta(days=1):
            continue
        advertises = bool(coupon.chain_id or coupon.of_campaign)  # type: ignore[attr-defined]
        yield Message(
            member_id=coupon.member_id,
            template=EXPIRING,
            payload=benefit_payload(coupon)
            | {
                "business": coupon.business.name,
                "coupon": str(coupon.pk),
                "valid_until": coupon.valid_until.isoformat(),
                "expires_on": last_day.isoformat(),
                "days": (last_day - today).days,
            },
            purpose=Notification.Purpose.ADVERTISING if advertises else Notification.Purpose.SERVICE,
            partner_id=coupon.business_id,
            dedupe_key=f"coupon-expiry:{coupon.pk}:{last_day.isoformat()}",
            channel=Notification.Channel.INAPP,
            send_after=at,
        )


@atomic
def void_coupon(coupon_id: UUID, *, reason: str, at: datetime) -> Coupon:
    """Take a coupon back before it is used; who did it and why stands in the journal.

    Raises CouponNotVoidable when it was used, voided or has run out, or without a reason.
    Locks the member, then the coupon: a till that came first wins.
    """
    reason = reason.strip()
    if not reason:
        raise CouponNotVoidable(_("Say why the coupon is taken back."), field="reason")
    if len(reason) > LONGEST_REASON:
        raise CouponNotVoidable(
            _("Say it in at most %(most)d characters.") % {"most": LONGEST_REASON}, field="reason"
        )
    coupon = _lock(coupon_id)
    if coupon.status != Coupon.Status.ISSUED or coupon.valid_until <= at:
        raise CouponNotVoidable(_("Only a coupon that could still be used can be taken back."))
    coupon.status, coupon.void_reason = Coupon.Status.VOIDED, reason
    coupon.save(update_fields=["status", "void_reason", "updated_at"])
    return coupon


def _lock(coupon_id: UUID) -> Coupon:
    lock_members([Coupon.objects.values_list("member_id", flat=True).get(pk=coupon_id)])
    return Coupon.objects.select_for_update(no_key=True).get(pk=coupon_id)
