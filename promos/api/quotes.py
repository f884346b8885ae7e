"""Quotes: a till asks what a bill will come to, and may have bonuses and coupon set aside for it."""

from uuid import UUID

from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from promos.api.serializers import QuoteIn, QuoteOut
from promos.api.views import REFUSED_BILLS, TILL, Scope, TillView
from promos.services.quotes import cancel_quote, make_quote
from svoykrug.schema import describe
from svoykrug.serializers import represented, validated


class QuotesView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="quote",
        summary="Ask what a bill will come to",
        description=(
            "Nothing is recorded. With `hold` the bonuses and the coupon are set aside until `expires_at`; "
            "`POST transactions` with `quote` records the purchase with this outcome or not at all."
        ),
        request=QuoteIn,
        example={"member": {"phone": "+79000000010"}, "amount": "1000.00", "hold": True},
        answers={201: QuoteOut},
        problems=(400, 401, 403),
        refuses=REFUSED_BILLS,
        auth=TILL,
    )
    def post(self, request: Request) -> Response:
        given = validated(QuoteIn, request.data)
        hold = given.pop("hold", False)
        quoted = make_quote(self.purchase_asked(given), hold=hold, at=timezone.now())
        return Response(represented(QuoteOut, quoted), status=status.HTTP_201_CREATED)


class QuoteView(TillView):
    scopes = {"DELETE": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="cancel_quote",
        summary="Free what a quote sets aside",
        description="May be repeated.",
        answers={204: None},
        problems=(401, 403, 404),
        auth=TILL,
    )
    def delete(self, request: Request, quote_id: UUID) -> Response:
        cancel_quote(quote_id, business=request.auth.business, at=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
