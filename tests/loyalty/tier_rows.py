"""Members of a tier and the purchases it is measured by, as plain rows."""

from datetime import datetime
from decimal import Decimal

from loyalty.models import Business, Member, StatusTier, Transaction
from tests.factories import MemberFactory


def member_of(level: int, *, until: datetime | None = None) -> Member:
    return MemberFactory(status_tier=StatusTier.objects.get(level=level), tier_valid_until=until)


def paid(member: Member, business: Business, amount: str, *, at: datetime) -> Transaction:
    """Store a purchase, or with a negative amount the refund of one, and nothing that follows from it."""
    row = Transaction(member=member, business=business, amount=Decimal(amount), source="till", created_at=at)
    if row.amount < 0:
        row.kind = Transaction.Kind.REFUND
        row.refund_of = Transaction.objects.filter(member=member, kind="purchase").latest("created_at")
    row.save(force_insert=True)
    return row
