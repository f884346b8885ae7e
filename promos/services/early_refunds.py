"""Refunds that come before their purchase: parked by earlier calls, or ahead of it in this one."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from loyalty.models import Business, ParkedRefund
from loyalty.services.transactions import Receipt, StoredTransaction
from svoykrug.db.models import uuid7

from .checks import fingerprint, receipt_reused
from .purchases import RefundRequest, Request, receipt_of


class EarlyRefunds:
    """What waits for its purchase; what still waits at the end of the call is parked.

    parked  those of earlier calls with a receipt of this call as their own or their purchase's
    """

    def __init__(self, parked: Iterable[ParkedRefund], *, recorded_at: datetime) -> None:
        self.recorded_at = recorded_at
        self._parked = {(refund.business_id, refund.external_id): refund for refund in parked}
        self._parked_for: dict[Receipt, list[ParkedRefund]] = {}
        for refund in self._parked.values():
            self._parked_for.setdefault((refund.business_id, refund.refund_of), []).append(refund)
        # Of this call, by the receipt of the purchase and by their own.
        self._waiting_for: dict[Receipt, list[tuple[int, RefundRequest]]] = {}
        self._waiting: dict[Receipt, RefundRequest] = {}
        self._applied: list[ParkedRefund] = []

    def __bool__(self) -> bool:
        """Whether any waits for a purchase."""
        return bool(self._waiting_for or self._parked_for)

    def has(self, request: Request) -> bool:
        """Return whether the request repeats one of these. Raises ExternalIdReused if its content differs."""
        receipt = receipt_of(request)
        if early := self._parked.get(receipt):
            known = early.request_hash
        elif waiting := self._waiting.get(receipt):
            known = fingerprint(waiting)
        else:
            return False
        if known != fingerprint(request):
            raise receipt_reused(request, ["amount"])
        return True

    def wait(self, index: int, request: RefundRequest) -> None:
        """Keep the request of that number until its purchase comes."""
        purchase = request.business.id, str(request.refund_of)
        self._waiting_for.setdefault(purchase, []).append((index, request))
        if request.external_id:
            self._waiting[receipt_of(request)] = request

    def parked_for(self, purchase: Receipt) -> Iterator[ParkedRefund]:
        """Hand over those that earlier calls parked; one that is not `applied` afterwards stays parked."""
        return iter(self._parked_for.pop(purchase, ()))

    def waiting_for(self, purchase: Receipt) -> list[tuple[int, RefundRequest]]:
        """Hand over those of this call with their numbers, by the time at which they happened."""
        waiting = self._waiting_for.pop(purchase, [])
        return sorted(waiting, key=lambda item: item[1].purchased_at or self.recorded_at)

    def applied(self, refund: ParkedRefund) -> None:
        self._applied.append(refund)

    def write(self) -> None:
        """Park what still waits, and take away what was applied."""
        if self._applied:
            ParkedRefund.objects.filter(pk__in=[refund.pk for refund in self._applied]).delete()
        if self._waiting_for:
            ParkedRefund.objects.bulk_create(
                _parked(request, self.recorded_at)
                for waiting in self._waiting_for.values()
                for _index, request in waiting
            )


def _parked(request: RefundRequest, at: datetime) -> ParkedRefund:
    """Return the row, not stored yet, that keeps a refund until its purchase comes."""
    assert request.member_id is not None
    assert request.refund_of
    assert request.amount is not None
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


def unparked(refund: ParkedRefund, purchase: StoredTransaction) -> RefundRequest:
    """Return the request that was parked, now that its purchase is there."""
    at = refund.purchased_at
    if at == refund.created_at:
        # Nobody said when it happened; then the purchase may be dated by its later arrival.
        at = max(at, purchase.created_at)
    return RefundRequest(
        business=Business(pk=refund.business_id),
        external_id=refund.external_id,
        refund_of=refund.refund_of,
        amount=refund.amount,
        member_id=refund.member_id,
        purchased_at=at,
        category=refund.category,
        source=refund.source,
    )
