"""A business's webhooks, by the key of its own systems."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.authentication import ApiKeyAuthentication, HasScope, MemberTokenAuthentication
from loyalty.api.base import ApiView
from loyalty.models import ApiKey, WebhookDelivery, WebhookEndpoint
from loyalty.services.webhooks.endpoints import (
    ASKED_FOR,
    add_endpoint,
    change_endpoint,
    pause,
    redeliver,
    remove_endpoint,
    resume,
)
from svoykrug.outbound import LONGEST_URL
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe
from svoykrug.serializers import StrictSerializer, TextField, represented, validated

INTEGRATOR = [{"ApiKey": []}]
MAY_SET = [
    (status.value, status.label) for status in (WebhookEndpoint.Status.ACTIVE, WebhookEndpoint.Status.PAUSED)
]


class EndpointIn(StrictSerializer):
    url = TextField(max_length=LONGEST_URL, help_text="https:// and a public address.")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=ASKED_FOR), min_length=1, max_length=len(ASKED_FOR)
    )
    description = TextField(max_length=120, required=False, allow_blank=True, default="")


class EndpointChangeIn(StrictSerializer):
    """Every field may be left out."""

    url = TextField(max_length=LONGEST_URL, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=ASKED_FOR),
        min_length=1,
        max_length=len(ASKED_FOR),
        required=False,
    )
    description = TextField(max_length=120, required=False, allow_blank=True)
    status = serializers.ChoiceField(choices=MAY_SET, required=False)
    missed_since = serializers.DateTimeField(
        required=False,
        help_text="With status active: events since this moment are sent, too, each once. A month is kept.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "missed_since" in attrs and attrs.get("status") != WebhookEndpoint.Status.ACTIVE:
            raise serializers.ValidationError({"missed_since": [_("Say status: active with it.")]})
        return attrs


class EndpointOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    status = serializers.ChoiceField(
        choices=WebhookEndpoint.Status.choices, help_text="failing: switched off after days without success."
    )
    failing_since = serializers.DateTimeField(allow_null=True)
    last_success_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class EndpointCreatedOut(EndpointOut):
    secret = serializers.CharField(help_text="Signs what is sent. Shown this once.")


class DeliveryOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    endpoint = serializers.UUIDField(source="endpoint_id")
    event = serializers.UUIDField(source="event_id", help_text="The webhook-id header.")
    type = serializers.CharField(source="event.type")
    object = serializers.UUIDField(source="object_id")
    status = serializers.ChoiceField(choices=WebhookDelivery.Status.choices)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.SerializerMethodField(help_text="While it is pending.")
    answer_status = serializers.IntegerField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_next_attempt_at(self, delivery: WebhookDelivery) -> str | None:
        pending = delivery.status == WebhookDelivery.Status.PENDING
        return delivery.next_attempt_at.isoformat() if pending else None


class ReadsPurchases(BasePermission):
    """Whoever sets up a webhook reads purchases by it, so a key that may only write them may not."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scope = ApiKey.Scope.PURCHASES_READ
        self.message = gettext("The API key lacks the scope %(scope)s.") % {"scope": scope}
        return scope in request.auth.scopes


class WebhookView(ApiView):
    """Who may read purchases sees where they are sent; only who may write them, too, changes it."""

    authentication_classes = (ApiKeyAuthentication, MemberTokenAuthentication)
    permission_classes = (HasScope, ReadsPurchases)
    scopes = {"GET": ApiKey.Scope.PURCHASES_READ} | dict.fromkeys(
        ("POST", "PATCH", "DELETE"), ApiKey.Scope.PURCHASES_WRITE
    )

    def own_endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        own = WebhookEndpoint.objects.filter(business=self.request.auth.business)
        return get_object_or_404(own, pk=endpoint_id)


class EndpointsView(WebhookView):
    pagination_class = NewestFirst
    queryset = WebhookEndpoint.objects.none()

    @describe(
        operation_id="list_webhook_endpoints",
        summary="Where the business is told what happens, newest first",
        answers={200: EndpointOut(many=True)},
        problems=(400, 401, 403),
        auth=INTEGRATOR,
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(WebhookEndpoint.objects.filter(business=request.auth.business))
        return self.get_paginated_response(EndpointOut(page, many=True).data)

    @describe(
        operation_id="create_webhook_endpoint",
        summary="Have events sent to an address",
        description="Signed by the Standard Webhooks specification. At most ten of a business. "
        "Needs purchases:write besides purchases:read, as every change here.",
        request=EndpointIn,
        example={"url": "https://till.example.org/hook", "events": ["purchase.created", "purchase.refunded"]},
        answers={201: EndpointCreatedOut},
        problems=(400, 401, 403, 413, 415),
        auth=INTEGRATOR,
    )
    def post(self, request: Request) -> Response:
        endpoint, secret = add_endpoint(business=request.auth.business, **validated(EndpointIn, request.data))
        answer = represented(EndpointOut, endpoint) | {"secret": secret}
        return Response(answer, status=HTTPStatus.CREATED)


class EndpointView(WebhookView):
    @describe(
        operation_id="get_webhook_endpoint",
        summary="One webhook",
        answers={200: EndpointOut},
        problems=(401, 403, 404),
        auth=INTEGRATOR,
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        return Response(represented(EndpointOut, self.own_endpoint(endpoint_id)))

    @describe(
        operation_id="change_webhook_endpoint",
        summary="Change, pause or resume a webhook",
        request=EndpointChangeIn,
        example={"description": "Учёт", "status": "paused"},
        answers={200: EndpointOut},
        problems=(400, 401, 403, 404, 413, 415),
        auth=INTEGRATOR,
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        endpoint = self.own_endpoint(endpoint_id)
        asked = validated(EndpointChangeIn, request.data)
        wanted, missed_since = asked.pop("status", None), asked.pop("missed_since", None)
        if asked:
            endpoint = change_endpoint(endpoint.pk, **asked)
        if wanted == WebhookEndpoint.Status.PAUSED:
            endpoint = pause(endpoint.pk)
        elif wanted:
            endpoint = resume(endpoint.pk, missed_since=missed_since, at=timezone.now())
        return Response(represented(EndpointOut, endpoint))

    @describe(
        operation_id="delete_webhook_endpoint",
        summary="Send nothing there any more",
        answers={204: None},
        problems=(401, 403, 404),
        auth=INTEGRATOR,
    )
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        remove_endpoint(self.own_endpoint(endpoint_id).pk)
        return Response(status=HTTPStatus.NO_CONTENT)


class DeliveriesView(WebhookView):
    pagination_class = NewestFirst
    queryset = WebhookDelivery.objects.none()

    @describe(
        operation_id="list_webhook_deliveries",
        summary="What was sent and how it was answered, newest first",
        answers={200: DeliveryOut(many=True)},
        problems=(400, 401, 403),
        auth=INTEGRATOR,
    )
    def get(self, request: Request) -> Response:
        own = WebhookDelivery.objects.filter(endpoint__business=request.auth.business)
        page = self.paginate_queryset(own.select_related("event"))
        return self.get_paginated_response(DeliveryOut(page, many=True).data)


class RedeliverView(WebhookView):
    @describe(
        operation_id="redeliver_webhook",
        summary="Send an event once more, under the same id",
        request=None,
        answers={202: DeliveryOut},
        problems=(401, 403, 404),
        auth=INTEGRATOR,
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        own = WebhookDelivery.objects.filter(endpoint__business=request.auth.business)
        delivery = redeliver(get_object_or_404(own, pk=delivery_id).pk, at=timezone.now())
        return Response(represented(DeliveryOut, delivery), status=HTTPStatus.ACCEPTED)
