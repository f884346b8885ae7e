"""Refunds: what may be refunded, and how one that comes too early waits for its purchase."""

from datetime import datetime

from loyalty.errors import RefundExceedsPurchase, RefundUnlinked
from loyalty.models import Business, ParkedRefund, Transaction
from loyalty.services.transactions import StoredTransaction
from svoykrug.db.models import uuid7

from .checks import fingerprint
from .purchases import RefundRequest


def check_refund(request: RefundRequest, purchase: StoredTransaction, at: datetime) -> None:
    """Raise RefundUnlinked or RefundExceedsPurchase if this refund cannot be of this purchase."""
    if purchase.kind != Transaction.Kind.PURCHASE:
        raise RefundUnlinked("refund_of names a refund, not a purchase.", field="refund_of")
    if request.member_id not in (None, purchase.member_id):
        raise RefundUnlinked("The purchase belongs to another member.", field="member")
    if at < purchase.created_at:
        raise RefundUnlinked("The refund is dated before its purchase.", field="purchased_at")
    left = purchase.amount - purchase.refunded
    if request.amount > left:
        raise RefundExceedsPurchase(
            f"{request.amount} asked, {left} of the purchase is left to refund.",
            field="amount",
            left=str(left),
        )


def parked(request: RefundRequest, at: datetime) -> ParkedRefund:
    """Return the row, not stored yet, that keeps a refund until its purchase comes."""
    assert request.member_id is not None
    assert request.refund_of
    return ParkedRefund(
        business=request.business,
        member_id=request.member_id,
        external_id=request.external_id or str(uuid7()),
        refund_of=request.refund_of,
        amount=request.amount,
        purchased_at=request.purchased_at or at,
        category=request.category,
        request_hash=fingerprint(request),
        source=request.source,
        created_at=at,
    )


def unparked(refund: ParkedRefund) -> RefundRequest:
    """Return the request that was refund."""
    return RefundRequest(
        business=Business(pk=refund.business_id),
        external_id=refund.external_id,
        refund_of=refund.refund_of,
        amount=refund.amount,
        member_id=refund.member_id,
        purchased_at=refund.purchased_at,
        category=refund.category,
        source=refund.source,
    )
