"""Messages of an imagined CRM, signed as ours asks."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from django.utils import timezone

from loyalty.models import Business, CrmIntegration
from promos.crm.integrations import first_secret
from tests.api import Caller

MAPPING = {
    "kind": {"path": "type", "values": {"sale": "purchase", "return": "refund", "storno": "cancel"}},
    "external_id": "id",
    "refund_of": "sale_id",
    "member": {"phone": "client.phone", "card": "client.card"},
    "amount": "sum",
    "purchased_at": "closed_at",
}


def connect(business: Business, **fields: Any) -> tuple[CrmIntegration, str]:
    """Return an integration of the business and its secret."""
    integration = CrmIntegration(**{"business": business, "provider": "own", "mapping": MAPPING} | fields)
    secret = first_secret(integration)
    integration.save()
    return integration, secret


def sale(receipt: str = "c-1", **fields: Any) -> dict[str, Any]:
    return {
        "type": "sale", "id": receipt, "client": {"phone": "+79260000010"}, "sum": 1000,
        "closed_at": "2026-11-20T14:05:00+03:00",
    } | fields  # fmt: skip


def encoded(message: Any) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode()


def standard(secret: str, body: bytes, *, name: str = "m-1", at: datetime | None = None) -> dict[str, str]:
    stamp = str(int((at or timezone.now()).timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{name}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}


def simple(secret: str, body: bytes, *, at: datetime | None = None) -> dict[str, str]:
    stamp = str(int((at or timezone.now()).timestamp()))
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Timestamp": stamp, "X-Signature": f"sha256={signature}"}


def send(integration: CrmIntegration, body: bytes, headers: dict[str, str]) -> Any:
    return Caller().send("POST", f"crm/{integration.pk}/events", body, **headers)


def tell(integration: CrmIntegration, secret: str, message: Any, *, name: str = "m-1") -> Any:
    body = encoded(message)
    return send(integration, body, standard(secret, body, name=name))
