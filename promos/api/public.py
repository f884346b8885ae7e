"""What anybody may read: offers in force, and partners."""

import hashlib
from typing import Any

import orjson
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from loyalty.api.base import OpenView
from loyalty.api.serializers import ListQuery
from loyalty.models import Business
from promos.models import OfferVersion
from promos.offers.rules import parse
from promos.offers.words import sentence
from promos.selectors import live_offers
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe
from svoykrug.serializers import MoneyOut

FRESH_SECONDS = 60
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of an earlier answer."
)


class PublicBusinessOut(serializers.Serializer[Any]):
    """A partner of the programme."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    category = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    gives_bonuses = serializers.BooleanField(source="can_accrue")
    takes_bonuses = serializers.BooleanField(source="can_redeem")


class OfferBusinessOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class OfferOut(serializers.Serializer[Any]):
    """An offer in force, by the terms published last."""

    id = serializers.UUIDField(source="offer_id")
    version = serializers.IntegerField(source="number")
    business = OfferBusinessOut(source="offer.business")
    title = serializers.CharField()
    text = serializers.CharField(help_text="The whole rule in words, in the language of Accept-Language.")
    kind = serializers.ChoiceField(
        choices=["multiplier", "percent", "fixed", "discount_percent", "discount_fixed", "coupon"]
    )
    value = serializers.CharField(help_text="Times, per cent, bonuses or roubles, by kind; 0 of a coupon.")
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True, help_text="The first moment without the offer.")
    tiers = serializers.ListField(child=serializers.IntegerField(), help_text="Empty: every tier.")
    min_amount = MoneyOut(allow_null=True)
    published_at = serializers.DateTimeField(source="created_at")

    def to_representation(self, version: OfferVersion) -> dict[str, Any]:
        rule = parse(version.conditions, version.effect)
        asked = rule.conditions
        values = {
            "text": sentence(rule), "kind": rule.effect.kind, "value": f"{rule.effect.value.normalize():f}",
            "starts_at": asked.starts, "ends_at": asked.ends, "tiers": list(asked.tiers),
            "min_amount": asked.min_amount,
        }  # fmt: skip
        for name, value in values.items():
            setattr(version, name, value)
        return super().to_representation(version)


class PublicList(OpenView):
    """A list for everybody: looks at no credential, and says when nothing has changed."""

    pagination_class = NewestFirst

    def page(self, request: Request, rows: QuerySet[Any]) -> HttpResponseBase:
        ListQuery(data=request.query_params.dict()).is_valid(raise_exception=True)
        shown = self.paginate_queryset(rows)
        answer = self.get_paginated_response(self.get_serializer(shown, many=True).data)
        digest = hashlib.sha256(orjson.dumps(answer.data, default=str)).hexdigest()[:32]
        answer["ETag"] = f'"{digest}"'
        answer["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
        plain: HttpRequest = request._request
        return get_conditional_response(plain, etag=answer["ETag"], response=answer) or answer


class OffersView(PublicList):
    queryset = OfferVersion.objects.none()
    serializer_class = OfferOut

    @describe(
        operation_id="offers",
        summary="Offers in force, newest first",
        description="Published ones only, without those whose budget is spent.",
        parameters=[ListQuery, IF_NONE_MATCH],
        answers={200: OfferOut(many=True), 304: None},
        problems=(400,),
        auth=[],
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.page(request, live_offers(at=timezone.now()))


class BusinessesView(PublicList):
    queryset = Business.objects.none()
    serializer_class = PublicBusinessOut

    @describe(
        operation_id="businesses",
        summary="Partners of the programme, newest first",
        parameters=[ListQuery, IF_NONE_MATCH],
        answers={200: PublicBusinessOut(many=True), 304: None},
        problems=(400,),
        auth=[],
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.page(request, Business.objects.filter(is_active=True, is_programme=False))
