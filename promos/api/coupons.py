"""Coupons: whether one may be redeemed at the till that asks, and the member's own."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.serializers import ListQuery
from loyalty.api.views import MEMBER, MemberView
from loyalty.errors import MemberNotFound, PresenceCodeInvalid
from loyalty.models import ApiKey
from promos.api.serializers import CouponIssuedOut, MemberRef
from promos.api.views import TILL, TillView
from promos.models import Coupon, Quote
from promos.rules import CouponState, coupon_faults, coupon_state, normalise_code
from promos.selectors import with_story
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe
from svoykrug.serializers import AmountField, represented, validated

STATE = {"type": "string", "enum": [state.value for state in CouponState]}
REASONS = ["other_member", "redeemed", "voided", "not_yet_valid", "out_of_date", "min_amount", "set_aside"]


class CouponQuery(MemberRef):
    """What the till knows already: the member by one of three, and the bill. Nothing is required."""

    amount = AmountField(required=False, help_text="Roubles of the bill before any discount.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() - {"amount"}) > 1:
            detail = _("Name the member by exactly one of: %(names)s.") % {"names": "phone, card, code"}
            raise ValidationError(detail, code="one_of")
        return attrs


class ReasonOut(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=REASONS)
    detail = serializers.CharField(help_text="For people, in the language of Accept-Language.")


class CouponOut(CouponIssuedOut):
    """A coupon of this business, and whether it may be redeemed now."""

    state = serializers.SerializerMethodField(help_text="Now, whoever asks.")
    redeemable = serializers.BooleanField(
        help_text="Nothing that was asked about speaks against it; the purchase decides."
    )
    reasons = ReasonOut(many=True, help_text="Everything that speaks against it.")

    @extend_schema_field(STATE)
    def get_state(self, coupon: Coupon) -> str:
        return coupon_state(coupon, at=timezone.now())


class CouponView(TillView):
    scopes = {"GET": ApiKey.Scope.COUPONS_READ}

    @describe(
        operation_id="check_coupon",
        summary="Whether a coupon of this business may be redeemed now, and if not, why",
        description="Any case, hyphens or not. Another business's coupon is not found. Nothing is set aside.",
        parameters=[CouponQuery],
        answers={200: CouponOut},
        problems=(400, 401, 403, 404),
        refuses=(MemberNotFound, PresenceCodeInvalid),
        auth=TILL,
    )
    def get(self, request: Request, code: str) -> Response:
        asked = validated(CouponQuery, self.given(request))
        coupon: Any = self.own_coupon(code)
        amount, at = asked.pop("amount", None), timezone.now()
        member_id = self.member_named(asked) if asked else None
        found = list(_reasons(coupon, member_id=member_id, amount=amount, at=at))
        coupon.reasons = [{"code": reason, "detail": detail} for reason, detail in found]
        coupon.redeemable = not found
        return Response(represented(CouponOut, coupon))

    def own_coupon(self, code: str) -> Coupon:
        """Return the coupon of the caller's business: another's does not exist here."""
        stored = normalise_code(code)
        own = Coupon.objects.filter(business=self.request.auth.business).select_related("business")
        if stored is None or (coupon := own.filter(code=stored).first()) is None:
            raise Http404
        return coupon


def _reasons(
    coupon: Coupon, *, member_id: UUID | None, amount: Decimal | None, at: datetime
) -> Iterator[tuple[str, str]]:
    yield from coupon_faults(
        coupon, member_id=member_id, business_id=coupon.business_id, amount=amount, at=at
    )
    kept = Quote.objects.live(at).filter(coupon=coupon, holds=True).order_by("expires_at").last()
    if kept:
        words = {"time": f"{timezone.localtime(kept.expires_at):%H:%M}"}
        yield "set_aside", _("The coupon is set aside for another bill until %(time)s.") % words


class MyCouponOut(CouponIssuedOut):
    """A coupon of the member."""

    id = serializers.UUIDField()
    state = serializers.SerializerMethodField()
    source = serializers.SerializerMethodField(help_text="What gave it.")
    source_name = serializers.SerializerMethodField(
        help_text="The business of the purchase, the offer or the campaign."
    )
    used_in = serializers.UUIDField(allow_null=True, help_text="The purchase.")
    used_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field(STATE)
    def get_state(self, coupon: Coupon) -> str:
        return coupon_state(coupon, at=timezone.now())

    @extend_schema_field({"type": "string", "enum": ["chain", "offer", "campaign", "other"]})
    def get_source(self, coupon: Any) -> str:
        if coupon.chain_id:
            return "chain"
        if coupon.offer_id:
            return "offer"
        return "campaign" if coupon.campaign_title else "other"

    def get_source_name(self, coupon: Any) -> str:
        if coupon.chain:
            return str(coupon.chain.source_business.name)
        return str(coupon.offer.title if coupon.offer else coupon.campaign_title or "")


class MyCouponsView(MemberView):
    pagination_class = NewestFirst
    queryset = Coupon.objects.none()

    @describe(
        operation_id="my_coupons",
        summary="The member's coupons, newest first: live, used and past ones",
        parameters=[ListQuery],
        answers={200: MyCouponOut(many=True)},
        problems=(400, 401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        ListQuery(data=request.query_params.dict()).is_valid(raise_exception=True)
        page = self.paginate_queryset(with_story(Coupon.objects.filter(member_id=request.user.pk)))
        return self.get_paginated_response(MyCouponOut(page, many=True).data)
