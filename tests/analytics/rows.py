"""Committed rows for the pipeline, written straight into the tables that the export views read."""

from datetime import datetime
from decimal import Decimal

from loyalty.models import Business, Member, Transaction


def purchase(
    member: Member, business: Business, amount: str, *, at: datetime, category: str = "кофе"
) -> Transaction:
    return Transaction.objects.create(
        member=member, business=business, amount=Decimal(amount), created_at=at, source="till",
        category=category, bonus_accrued=Decimal("3.50"),
    )  # fmt: skip


def refund(of: Transaction, amount: str, *, at: datetime) -> Transaction:
    return Transaction.objects.create(
        member=of.member, business=of.business, amount=-Decimal(amount), created_at=at, source="till",
        kind="refund", refund_of=of,
    )  # fmt: skip
