"""Committed rows for the pipeline, written straight into the tables that the export views read."""

from datetime import datetime
from decimal import Decimal

from loyalty.models import Business, Member, Transaction
from promos.models import Coupon


def purchase(
    member: Member,
    business: Business,
    amount: str,
    *,
    at: datetime,
    category: str = "кофе",
    coupon: Coupon | None = None,
    discount: str = "0.00",
) -> Transaction:
    return Transaction.objects.create(
        member=member, business=business, amount=Decimal(amount), created_at=at, source="till",
        category=category, bonus_accrued=Decimal("3.50"), coupon=coupon, coupon_discount=Decimal(discount),
    )  # fmt: skip


def refund(of: Transaction, amount: str, *, at: datetime) -> Transaction:
    return Transaction.objects.create(
        member=of.member, business=of.business, amount=-Decimal(amount), created_at=at, source="till",
        kind="refund", refund_of=of,
    )  # fmt: skip
