"""Refunds: of a purchase by our id, or by its receipt number, known already or still to come."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.errors import (
    ExternalIdReused,
    InvalidPurchase,
    MemberNotFound,
    RefundExceedsPurchase,
    RefundUnlinked,
)
from loyalty.models import Transaction
from loyalty.selectors import find_member_id
from promos.api.serializers import ParkedOut, ReceiptRefundIn, RefundIn, RefundOut
from promos.api.views import TILL, Scope, TillView
from promos.services.checkout import record_refund
from promos.services.purchases import RefundRequest
from svoykrug.schema import describe
from svoykrug.serializers import represented, validated

REFUSED_REFUNDS = (InvalidPurchase, RefundUnlinked, RefundExceedsPurchase, ExternalIdReused)


class RefundsView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="record_refund",
        summary="Refund a part of a purchase or all of it",
        request=RefundIn,
        example={"external_id": "till1-000002", "amount": "249.50"},
        answers={201: RefundOut, 200: RefundOut},
        problems=(400, 401, 403, 404),
        refuses=REFUSED_REFUNDS,
        auth=TILL,
    )
    def post(self, request: Request, transaction_id: UUID) -> Response:
        purchase = get_object_or_404(self.own_transactions(), pk=transaction_id)
        asked = validated(RefundIn, request.data)
        refund = RefundRequest(
            business=request.auth.business,
            refund_of=purchase.external_id,
            member_id=purchase.member_id,
            source=Transaction.Source.API,
            **asked,
        )
        transaction, created = record_refund(refund, at=timezone.now())
        if transaction is None:
            raise RefundUnlinked("The purchase is not there any more.", field="refund_of")
        return self.recorded(transaction, created=created, body=RefundOut)


class ReceiptRefundsView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="record_refund_of_receipt",
        summary="Refund a purchase named by its receipt number, even before the purchase is known",
        description=(
            "`refund_of` is the purchase's `external_id`. While we do not know that purchase, the refund of "
            "an `amount` of a named `member` is parked and answered 202; it is applied by itself when the "
            "purchase comes. Safe to repeat: a parked refund answers 202 again, a recorded one 200 with the "
            "first answer."
        ),
        request=ReceiptRefundIn,
        example={
            "external_id": "till1-000008",
            "refund_of": "till1-000999",
            "member": {"phone": "+79000000010"},
            "amount": "50.00",
        },
        answers={201: RefundOut, 200: RefundOut, 202: ParkedOut},
        problems=(400, 401, 403),
        refuses=(*REFUSED_REFUNDS, MemberNotFound),
        auth=TILL,
    )
    def post(self, request: Request) -> Response:
        asked: dict[str, Any] = validated(ReceiptRefundIn, request.data)
        reference = asked.pop("member", None)
        business = request.auth.business
        refund = RefundRequest(
            business=business,
            member_id=find_member_id(**reference, business=business) if reference else None,
            source=Transaction.Source.API,
            **asked,
        )
        transaction, created = record_refund(refund, at=timezone.now())
        if transaction is None:
            answer = {"status": "parked", "external_id": refund.external_id, "refund_of": refund.refund_of}
            return Response(represented(ParkedOut, answer), status=status.HTTP_202_ACCEPTED)
        return self.recorded(transaction, created=created, body=RefundOut)
