"""Tills' calls: record purchases and refunds, read them, look a member up."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.authentication import ApiKeyAuthentication, HasScope, MemberTokenAuthentication
from loyalty.api.base import ApiView
from loyalty.errors import (
    ExternalIdReused,
    InsufficientBonus,
    MemberNotFound,
    PresenceCodeInvalid,
    RedemptionLimitExceeded,
)
from loyalty.models import ApiKey, Transaction
from loyalty.selectors import find_member, find_member_id, wallet
from loyalty.services.presence import member_of_code, receipt_name, sandbox_code, send_code_if_known
from promos.api.batch import read_batch, record_batch
from promos.api.serializers import (
    BatchIn,
    BatchOut,
    MemberOut,
    MemberRef,
    PresenceCodeIn,
    PresenceCodeSentOut,
    PurchaseIn,
    TransactionOut,
    TransactionsQuery,
)
from promos.errors import CouponNotRedeemable, QuoteChanged
from promos.models import Coupon
from promos.selectors import coupons_of
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from promos.services.quotes import quote_of, quoted_content
from svoykrug.collector import uncollected
from svoykrug.money import ZERO
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe
from svoykrug.serializers import represented, validated

# What a bill may be refused for, quoted or recorded.
REFUSED_BILLS = (
    MemberNotFound, PresenceCodeInvalid, InsufficientBonus, RedemptionLimitExceeded, CouponNotRedeemable,
)  # fmt: skip

Scope = ApiKey.Scope
TILL = [{"ApiKey": []}]


def with_coupons_issued() -> Prefetch:
    return Prefetch("coupons_issued", Coupon.objects.select_related("business"))


class TillView(ApiView):
    """A call of a business's machine; `scopes` says which scope each method needs."""

    # A member's token is recognised too, so that it is refused as such: 403 and not 401.
    authentication_classes = (ApiKeyAuthentication, MemberTokenAuthentication)
    permission_classes = (HasScope,)
    scopes: dict[str, str] = {}

    def own_transactions(self) -> QuerySet[Transaction]:
        """Those of the caller's business: another's do not exist here."""
        own = Transaction.objects.filter(business=self.request.auth.business)
        return own.prefetch_related(with_coupons_issued())

    def given(self, request: Request) -> dict[str, str]:
        """Return what stands in the address after the question mark."""
        given = request.query_params.dict()
        if given.get("phone", "").startswith(" "):
            # An unescaped plus sign of an address reads as a space.
            given["phone"] = "+" + given["phone"][1:]
        return given

    def member_named(self, reference: dict[str, str], *, external_id: str | None = None) -> UUID:
        """Return the member of a MemberRef; a wrong code counts against the key.

        external_id  of the purchase; once that is recorded its member stands, since the code of a
                     late repeat has long run out
        """
        business = self.request.auth.business
        if "code" not in reference:
            return find_member_id(**reference, business=business)
        recorded = self.own_transactions().filter(external_id=external_id).first() if external_id else None
        if recorded:
            return recorded.member_id
        key, at = self.request.auth, timezone.now()
        receipt = receipt_name(key.business_id, external_id) if external_id else None
        return member_of_code(reference["code"], till=key.pk, at=at, receipt=receipt, business=business)

    def purchase_asked(self, given: dict[str, Any]) -> PurchaseRequest:
        """Return the purchase that a validated BillIn describes; a quote fills in what is left out."""
        business = self.request.auth.business
        fields: dict[str, Any] = {}
        if quote_id := given.pop("quote", None):
            fields = quoted_content(quote_of(quote_id, business=business)) | {"quote_id": quote_id}
        if reference := given.pop("member", None):
            fields["member_id"] = self.member_named(reference, external_id=given.get("external_id"))
            fields["presence_code"] = reference.get("code")
        if "coupon" in given:
            fields["coupon_code"] = given.pop("coupon")
        return PurchaseRequest(
            **{"business": business, "external_id": None, "till": self.request.auth.pk}
            | fields
            | {name: value for name, value in given.items() if value is not None}
        )

    def recorded(self, transaction: Transaction, *, created: bool, body: type[TransactionOut]) -> Response:
        """Answer from the stored row alone, so that a first answer and a repeat are the same."""
        if "coupons_issued" not in getattr(transaction, "_prefetched_objects_cache", {}):
            prefetch_related_objects([transaction], with_coupons_issued())
        answer = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(represented(body, transaction), status=answer)


class TransactionsView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE, "GET": Scope.PURCHASES_READ}
    pagination_class = NewestFirst
    queryset = Transaction.objects.none()

    @describe(
        operation_id="record_purchase",
        summary="Record a purchase",
        description="Safe to repeat: the same content answers 200 with the first answer.",
        request=PurchaseIn,
        example={
            "external_id": "till1-000001",
            "member": {"phone": "+79000000010"},
            "amount": "1249.50",
            "category": "Чай",
            "lines": [
                {"name": "Чай улун", "quantity": "2", "amount": "949.50"},
                {"name": "Пряники", "amount": "300.00"},
            ],
        },
        answers={201: TransactionOut, 200: TransactionOut},
        problems=(400, 401, 403, 404),
        refuses=(*REFUSED_BILLS, QuoteChanged, ExternalIdReused),
        auth=TILL,
    )
    def post(self, request: Request) -> Response:
        purchase = self.purchase_asked(validated(PurchaseIn, request.data))
        transaction, created = record_purchase(purchase, at=timezone.now())
        return self.recorded(transaction, created=created, body=TransactionOut)

    @describe(
        operation_id="list_transactions",
        summary="Purchases and refunds of the business, newest first",
        parameters=[TransactionsQuery],
        answers={200: TransactionOut(many=True)},
        problems=(400, 401, 403),
        auth=TILL,
    )
    def get(self, request: Request) -> Response:
        query = TransactionsQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        conditions = {LOOKUPS[name]: value for name, value in query.validated_data.items() if name in LOOKUPS}
        page = self.paginate_queryset(self.own_transactions().filter(**conditions))
        return self.get_paginated_response(TransactionOut(page, many=True).data)


# Filters of the list; `from` is inclusive, `to` is not, so neighbouring periods share no row.
LOOKUPS = {
    "member": "member_id",
    "external_id": "external_id",
    "kind": "kind",
    "from": "created_at__gte",
    "to": "created_at__lt",
}


class TransactionView(TillView):
    scopes = {"GET": Scope.PURCHASES_READ}

    @describe(
        operation_id="get_transaction",
        summary="One purchase or refund",
        answers={200: TransactionOut},
        problems=(401, 403, 404),
        auth=TILL,
    )
    def get(self, request: Request, transaction_id: UUID) -> Response:
        transaction = get_object_or_404(self.own_transactions(), pk=transaction_id)
        return Response(represented(TransactionOut, transaction))


class BatchView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="record_batch",
        summary="Record up to 1,000 purchases and refunds",
        description="Each row stands alone: a refused one says why and does not touch the others.",
        request=BatchIn,
        example={
            "transactions": [
                {"external_id": "till1-000003", "member": {"phone": "+79000000010"}, "amount": "300.00"},
                {
                    "kind": "refund",
                    "external_id": "till1-000004",
                    "refund_of": "till1-000003",
                    "amount": "100.00",
                },
            ]
        },
        answers={200: BatchOut},
        problems=(400, 401, 403),
        auth=TILL,
    )
    def post(self, request: Request) -> Response:
        with uncollected():
            rows = read_batch(request.data)
            results = record_batch(
                rows, business=request.auth.business, till=request.auth.pk, at=timezone.now()
            )
        count = [result["status"] for result in results].count
        return Response(
            {
                "results": results,
                "created": count("created"),
                "duplicates": count("duplicate"),
                "parked": count("parked"),
                "rejected": count("rejected"),
            }
        )


class MemberLookupView(TillView):
    scopes = {"GET": Scope.MEMBERS_READ}

    @describe(
        operation_id="lookup_member",
        summary="A member by phone, card or the code on the member's page",
        description="A code stays unspent. Five wrong ones within 15 minutes lock the key's codes for 15.",
        parameters=[MemberRef],
        answers={200: MemberOut},
        problems=(400, 401, 403),
        refuses=(MemberNotFound, PresenceCodeInvalid),
        auth=TILL,
    )
    def get(self, request: Request) -> Response:
        business, at = request.auth.business, timezone.now()
        named = validated(MemberRef, self.given(request))
        if "code" in named:
            named = {"member_id": self.member_named(named)}
        member = find_member(**named, business=business)
        member.available = wallet(member.pk, at=at).available
        own_cap = business.redemption_cap_percent
        caps = [member.status_tier.redemption_cap_percent, *([] if own_cap is None else [own_cap])]
        member.max_share_percent = min(caps) if business.can_redeem else ZERO
        member.coupons_here = coupons_of(member.pk, business=business, at=at)
        return Response(represented(MemberOut, member))


class MemberPresenceCodeView(TillView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @describe(
        operation_id="send_presence_code",
        summary="Send a code to the phone of a member who cannot show one",
        description=(
            "The member tells the cashier its digits. The answer is the same for an unknown member. "
            "For a test key nothing is sent: the answer itself carries the code."
        ),
        request=PresenceCodeIn,
        example={"member": {"phone": "+79000000010"}},
        answers={202: PresenceCodeSentOut},
        problems=(400, 401, 403),
        auth=TILL,
    )
    def post(self, request: Request) -> Response:
        asked, at = validated(PresenceCodeIn, request.data), timezone.now()
        answer: dict[str, Any] = {"expires_in": settings.OTP_LIFETIME_SECONDS}
        if (business := request.auth.business).is_sandbox:
            if shown := sandbox_code(**asked["member"], business=business, at=at):
                answer = {"expires_in": shown.seconds_left(at), "code": shown.code}
        else:
            send_code_if_known(**asked["member"], till=request.auth.pk, at=at)
        return Response(answer, status=status.HTTP_202_ACCEPTED)
