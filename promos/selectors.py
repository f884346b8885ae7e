"""Reads of coupons for members' pages and endpoints."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from promos.models import Coupon


@dataclass(frozen=True, slots=True)
class CouponWallet:
    """A member's coupons: those that may be redeemed, soonest to run out first; and the past ones."""

    valid: list[Coupon]
    past: list[Coupon]


def wallet_coupons(member_id: UUID, *, at: datetime, past: int = 20) -> CouponWallet:
    """Return the member's valid coupons and the latest `past` ones that are used or out of date."""
    coupons = Coupon.objects.filter(member_id=member_id).select_related("business", "chain__source_business")
    valid = coupons.filter(status=Coupon.Status.ISSUED, valid_until__gt=at).order_by("valid_until", "pk")
    used = coupons.exclude(status=Coupon.Status.ISSUED, valid_until__gt=at).order_by("-updated_at", "-pk")
    return CouponWallet(valid=list(valid), past=list(used[:past]))


def coupons_of_purchase(transaction_id: UUID) -> list[Coupon]:
    """Return the coupons that a purchase brought, oldest first."""
    coupons = Coupon.objects.filter(issued_for_id=transaction_id)
    return list(coupons.select_related("business", "chain__source_business").order_by("pk"))
