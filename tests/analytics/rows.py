"""Committed rows for the pipeline, written straight into the tables that the export views read."""

from datetime import datetime
from decimal import Decimal

from loyalty.models import Business, Member, Transaction
from promos.models import ChainCostShare, Coupon, CrossPromoChain


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


def cost_share(
    chain: CrossPromoChain, row: Transaction, *, discount: str, owed: str, at: datetime
) -> ChainCostShare:
    """Return, not stored, what a purchase's or refund's discount by the chain costs the source."""
    return ChainCostShare(
        transaction=row, chain=chain, version=1, discount=Decimal(discount), amount=Decimal(owed),
        debtor_id=chain.source_business_id, creditor_id=chain.target_business_id, created_at=at,
    )  # fmt: skip
