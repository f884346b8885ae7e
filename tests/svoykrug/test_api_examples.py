"""Every example of the description is accepted as it stands there."""

import pytest
from django.utils import timezone

from loyalty.models import ApiKey
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.tasks import apply_crm_message
from tests.api import Caller
from tests.factories import MemberFactory
from tests.promos.crm.messages import connect, encoded, simple
from tests.svoykrug.api_schema import operations

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79000000010"


def test_every_body_has_an_example():
    missing = [str(each) for each in operations() if each.body and each.example is None]

    assert missing == []


def test_every_example_is_accepted(business, sent_code, settings, monkeypatch):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    member = MemberFactory(phone=PHONE)
    anyone = Caller()
    till = Caller(f"Api-Key {create_api_key(business=business, scopes=list(ApiKey.Scope))[1]}")
    tokens = open_session(member, at=timezone.now())
    crm, crm_secret = connect(business)
    monkeypatch.setattr(apply_crm_message, "delay", apply_crm_message)
    made: dict[str, str] = {"crm": str(crm.pk)}
    # What only the moment knows stands in for the example's own.
    instead = {
        "POST /api/v1/auth/token": lambda: {"code": sent_code(PHONE)},
        "POST /api/v1/auth/token/refresh": lambda: {"refresh": tokens.refresh},
        "POST /api/v1/webhook-endpoints": lambda: {"url": "http://127.0.0.1:9/hook"},
        "POST /api/v1/auth/logout": lambda: {"refresh": "unknown"},
    }
    order = {"POST /api/v1/auth/otp": 0, "POST /api/v1/transactions": 1, "POST /api/v1/webhook-endpoints": 1}
    by_order = sorted(operations(), key=lambda each: order.get(str(each), 2))
    for operation in by_order:
        if operation.example is None:
            continue
        body = operation.example
        if str(operation) in instead:
            body = body | instead[str(operation)]()
        security = anyone
        if "/me" in operation.path and "/members" not in operation.path:
            security = Caller(f"Bearer {open_session(member, at=timezone.now()).access}")
        elif "/auth/" not in operation.path:
            security = till
        path = operation.path.removeprefix("/api/v1/").replace("{transaction_id}", made.get("purchase", ""))
        path = path.replace("{endpoint_id}", made.get("endpoint", "")).replace(
            "{integration_id}", made["crm"]
        )
        signed = simple(crm_secret, encoded(body)) if "/crm/" in operation.path else {}

        answer = security.send(operation.method, path, body, **signed)

        assert answer.status_code < 300, (str(operation), answer.content)
        assert operation.wrong(answer) is None, str(operation)
        if str(operation) == "POST /api/v1/transactions":
            made["purchase"] = answer.json()["id"]
        if str(operation) == "POST /api/v1/webhook-endpoints":
            made["endpoint"] = answer.json()["id"]
        if "rejected" in (answer.json() if answer.content else {}):
            assert answer.json()["rejected"] == 0
