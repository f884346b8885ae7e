"""Where CRMs and tills send what happened: kept first, understood afterwards."""

from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from kombu.exceptions import OperationalError
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.base import ApiView
from promos.crm.integrations import live_integration, note_refusal, receive
from promos.crm.signature import SIMPLE, STANDARD, Refusal, SignatureRefused
from promos.tasks import apply_crm_message
from svoykrug.errors import DomainError
from svoykrug.failpoints import failpoint
from svoykrug.json_parser import BodyTooLarge
from svoykrug.schema import describe

MOST_BYTES = 1024 * 1024
WHY = {
    Refusal.MISSING: gettext_lazy("The message is not signed: headers are missing."),
    Refusal.TWO_WAYS: gettext_lazy("Sign in one way: webhook-* headers or X-Timestamp and X-Signature."),
    Refusal.MALFORMED: gettext_lazy("The signature or its timestamp is not written as it should be."),
    Refusal.TIME: gettext_lazy("The timestamp is more than 5 minutes off. Check the sender's clock."),
    Refusal.WRONG: gettext_lazy("The signature does not fit the body and the secret."),
}


class SignatureInvalid(DomainError):
    code = "not_authenticated"
    status = 401


class RawParser(BaseParser):
    """The bytes as they came, whatever they say they are: the signature is over them."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise BodyTooLarge(_("The body is larger than %(most)d bytes.") % {"most": MOST_BYTES})
        return raw


class MessageOut(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Of the message as it is kept. A repeat gets the first one's.")


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


class CrmEventsView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (RawParser,)
    # A message is its own key, and must be committed before it is answered.
    takes_idempotency_key = False

    @describe(
        operation_id="receive_crm_events",
        summary="Events of a CRM or a till, in its own words",
        description=(
            "The body is JSON as the vendor has it; the integration's mapping says where in it is what. "
            "It is kept first and applied afterwards: `202` says that it is safe, not that it is understood. "
            "Sign it with the integration's secret over the raw bytes, in one of two ways.\n\n"
            "* Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.\n"
            "* Simple: `X-Timestamp` (Unix seconds) and `X-Signature: sha256=<hex>`, the HMAC-SHA256 of "
            "`<timestamp>.<body>` keyed with the secret as it stands.\n\n"
            "The timestamp may be 5 minutes off at most."
        ),
        parameters=[
            _header("webhook-id", "Your own name of the message; a repeat has the same."),
            _header("webhook-timestamp", "Unix seconds."),
            _header("webhook-signature", "`v1,<base64>`"),
            _header("X-Timestamp", "Unix seconds."),
            _header("X-Signature", "`sha256=<hex>`"),
        ],
        request={"application/json": OpenApiTypes.OBJECT},
        example={
            "type": "sale",
            "id": "crm-000001",
            "client": {"phone": "+7 900 000-00-10"},
            "sum": 1249.5,
            "closed_at": "2026-11-20T14:05:00+03:00",
        },
        answers={202: MessageOut},
        problems=(404, 413),
        refuses=(SignatureInvalid,),
        auth=[],
    )
    def post(self, request: Request, integration_id: UUID) -> Response:
        at = timezone.now()
        # Without a body there is nothing to parse, and no bytes.
        body = request.data if isinstance(request.data, bytes) else b""
        integration = live_integration(integration_id)
        if integration is None:
            raise Http404
        headers = {name: request.headers[name] for name in (*STANDARD, *SIMPLE) if name in request.headers}
        try:
            message = receive(integration, headers, body, at=at)
        except SignatureRefused as refused:
            note_refusal(integration, at=at)
            raise SignatureInvalid(str(WHY[refused.why])) from None
        failpoint("crm-after-store")
        # Without Redis the schedule takes it up.
        with suppress(OperationalError):
            apply_crm_message.delay(str(message.pk))
        return Response({"id": message.pk}, status=status.HTTP_202_ACCEPTED)
