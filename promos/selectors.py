"""Reads of coupons and chains for members' pages, endpoints and reports."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Count, DateTimeField, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.formats import date_format

from loyalty.models import Business, Transaction
from promos.models import (
    CampaignCoupon,
    ChainAssignment,
    Coupon,
    CrossPromoChain,
    MemberSegment,
    Offer,
    OfferVersion,
)
from svoykrug.db.rows import columns, instances
from svoykrug.db.sql import read


@dataclass(frozen=True, slots=True)
class CouponWallet:
    """A member's coupons: those that may be redeemed, soonest to run out first; and the past ones."""

    valid: list[Coupon]
    past: list[Coupon]


def wallet_coupons(member_id: UUID, *, at: datetime, past: int = 20) -> CouponWallet:
    """Return the member's valid coupons and the latest `past` ones that are used or out of date."""
    coupons = with_story(Coupon.objects.filter(member_id=member_id))
    valid = coupons.filter(status=Coupon.Status.ISSUED, valid_until__gt=at).order_by("valid_until", "pk")
    used = coupons.exclude(status=Coupon.Status.ISSUED, valid_until__gt=at).order_by("-updated_at", "-pk")
    return CouponWallet(valid=list(valid), past=list(used[:past]))


# Each look-up of a till asks it.
_VALID_HERE = f"""
    SELECT {columns(Coupon, "c")} FROM coupons c
    WHERE c.user_id = %s AND c.business_id = %s AND c.status = 'issued' AND c.valid_from <= %s
        AND c.valid_until > %s
    ORDER BY c.valid_until, c.id
"""  # noqa: S608  columns of our own model


def coupons_of(member_id: UUID, *, business: Business, at: datetime) -> list[Coupon]:
    """Return what the member may redeem at the business at that moment, what ends soonest first."""
    coupons = []
    for row in read((_VALID_HERE, [member_id, business.pk, at, at]))[0]:
        (coupon,) = instances(row, Coupon)
        coupon.business = business
        coupons.append(coupon)
    return coupons


def with_story(coupons: QuerySet[Coupon]) -> QuerySet[Coupon]:
    """Add where each coupon came from, and the purchase `used_in` of one that is used."""
    given = CampaignCoupon.objects.filter(coupon=OuterRef("pk"))
    # A refund in full may have freed it before: the last purchase is the one.
    used = Transaction.objects.filter(coupon=OuterRef("pk"), kind="purchase").order_by("-pk")
    is_used = Q(status=Coupon.Status.REDEEMED)
    return coupons.select_related("business", "chain__source_business", "offer").annotate(
        campaign_title=Subquery(given.values("campaign__title")[:1]),
        used_in=Case(When(is_used, then=Subquery(used.values("pk")[:1]))),
        used_at=Case(When(is_used, then=Subquery(used.values("created_at")[:1]))),
    )


def coupons_of_purchase(transaction_id: UUID) -> list[Coupon]:
    """Return the coupons that a purchase brought, oldest first."""
    coupons = Coupon.objects.filter(issued_for_id=transaction_id)
    return list(coupons.select_related("business", "chain__source_business", "offer").order_by("pk"))


def valid_coupon(coupon_id: UUID, *, at: datetime) -> Coupon | None:
    """Return the coupon if it may still be redeemed."""
    coupons = Coupon.objects.filter(pk=coupon_id, status=Coupon.Status.ISSUED, valid_until__gt=at)
    return coupons.select_related("business", "chain__source_business", "offer").first()


@dataclass(frozen=True, slots=True)
class CouponCounts:
    """Coupons issued in a span of time, and how many of those were redeemed since."""

    issued: int
    redeemed: int


def coupon_counts(business_ids: Collection[UUID] | None, *, start: datetime, end: datetime) -> CouponCounts:
    """Count the coupons to be redeemed at these businesses, or everywhere, issued in [start, end)."""
    coupons = Coupon.objects.filter(created_at__gte=start, created_at__lt=end)
    if business_ids is not None:
        coupons = coupons.filter(business__in=business_ids)
    else:
        coupons = coupons.filter(business__is_sandbox=False)
    redeemed = Count("pk", filter=Q(status=Coupon.Status.REDEEMED))
    return CouponCounts(**coupons.aggregate(issued=Count("pk"), redeemed=redeemed))


def chains_between(
    business_ids: Collection[UUID] | None, *, source_id: UUID | None = None, target_id: UUID | None = None
) -> QuerySet[CrossPromoChain]:
    """Return the chains that these businesses may see, or all: a draft is its source's alone."""
    chains = CrossPromoChain.objects.select_related("source_business", "target_business")
    if business_ids is not None:
        proposed = ~Q(status=CrossPromoChain.Status.DRAFT)
        own = Q(source_business__in=business_ids) | (Q(target_business__in=business_ids) & proposed)
        chains = chains.filter(own)
    if source_id:
        chains = chains.filter(source_business=source_id)
    if target_id:
        chains = chains.filter(target_business=target_id)
    return chains


def with_results(
    chains: QuerySet[CrossPromoChain], *, start: datetime, end: datetime
) -> QuerySet[CrossPromoChain]:
    """Add `triggers`, coupons that the chain gave for purchases in [start, end), and their `conversions`."""
    within = Q(assignments__created_at__gte=start, assignments__created_at__lt=end)
    given = within & Q(assignments__coupon__isnull=False)
    return chains.annotate(
        triggers=Count("assignments", filter=given),
        conversions=Count("assignments", filter=given & Q(assignments__converted__isnull=False)),
    )


def left_out(chain_ids: Collection[UUID], *, start: datetime, end: datetime) -> dict[UUID, dict[str, int]]:
    """Count the purchases in [start, end) of members whom the chains left out, by reason, the most first."""
    skipped = ChainAssignment.objects.filter(
        chain__in=chain_ids, arm=ChainAssignment.Arm.SKIPPED, created_at__gte=start, created_at__lt=end
    )
    counts: dict[UUID, dict[str, int]] = {}
    rows = skipped.values("chain", "reason").annotate(count=Count("pk")).order_by("-count", "reason")
    for row in rows:
        counts.setdefault(row["chain"], {})[row["reason"]] = row["count"]
    return counts


def live_offers(*, at: datetime) -> QuerySet[OfferVersion]:
    """Return the terms in force of every offer that a purchase may meet now; business loaded.

    Those whose uses or bonuses in all are spent are not among them.
    """
    starts, ends = (Cast(KT(f"conditions__{name}"), DateTimeField()) for name in ("from", "until"))
    return (
        OfferVersion.objects.filter(
            number=F("offer__version"),
            offer__status=Offer.Status.PUBLISHED,
            offer__live_since__lte=at,
            offer__business__is_active=True,
        )
        .alias(starts=starts, ends=ends)
        .filter(Q(starts=None) | Q(starts__lte=at), Q(ends=None) | Q(ends__gt=at))
        .filter(Q(total_uses_limit=None) | Q(total_uses_limit__gt=F("offer__uses_count")))
        .filter(Q(total_bonus_limit=None) | Q(total_bonus_limit__gt=F("offer__bonuses_given")))
        .select_related("offer__business")
    )


def segment_of(member_id: UUID) -> str | None:
    """Return the member's segment in the latest snapshot; None if in none."""
    return MemberSegment.objects.filter(member=member_id).values_list("segment", flat=True).first()


# Plain text: the app of events stands above this one.
HOSTED = """
    SELECT id::text, title, date FROM events
    WHERE business_id = %s AND status IN ('published', 'finished') ORDER BY date DESC, id LIMIT 50
"""


def hosted_events(business_id: UUID) -> dict[str, str]:
    """Return titles of the latest events that the business has held or holds, by id, newest first."""
    [rows] = read((HOSTED, [business_id]))
    return {key: f"{title}, {date_format(timezone.localtime(date), 'j E Y')}" for key, title, date in rows}
