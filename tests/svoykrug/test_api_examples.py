"""Every example of the description is accepted as it stands there."""

import re
from collections.abc import Iterator
from copy import copy
from typing import Any

import pytest
from django.utils import timezone
from jsonschema import Draft7Validator

from loyalty.models import ApiKey, KeptAnswer
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.tasks import apply_crm_message
from tests.api import Caller, refusal
from tests.factories import MemberFactory
from tests.promos.crm.messages import connect, encoded, simple
from tests.svoykrug.api_schema import Operation, operations

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79000000010"
# Sent and compared with real answers by tests/analytics/test_api.py.
REPORTS = ("summary", "rfm", "cohorts", "win-win")


def test_every_body_has_an_example():
    missing = [str(each) for each in operations() if each.body and each.example is None]

    assert missing == []


def test_every_answer_shown_is_one_that_the_description_allows():
    shown = [
        (str(operation), status, example["value"], content["schema"])
        for operation in operations()
        for status, told in operation.responses.items()
        for content in told.get("content", {}).values()
        for example in content.get("examples", {}).values()
    ]

    assert {name for name, *_more in shown} >= {f"GET /api/v1/analytics/{call}" for call in REPORTS}
    wrong = [
        (name, status, fault.message)
        for name, status, value, schema in shown
        for fault in Draft7Validator(schema).iter_errors(value)
    ]
    assert wrong == []


def differing_from(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the body with each of its values changed in turn, and with each field left out."""
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    if not inner:
        yield ".".join(map(str, path)), f"{body}7"
    for name, value in inner:
        for dotted, changed in differing_from(value, (*path, name)):
            yield dotted, put(body, name, changed)
        if isinstance(body, dict):
            yield ".".join(map(str, (*path, name))), {key: body[key] for key in body if key != name}


def put(body: Any, name: Any, value: Any) -> Any:
    copied = copy(body)
    copied[name] = value
    return copied


@pytest.fixture
def play(business, sent_code, settings, monkeypatch):
    """Make every call that has an example, those first that others need; yield call, body and sender."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    member = MemberFactory(phone=PHONE)
    till = Caller(f"Api-Key {create_api_key(business=business, scopes=list(ApiKey.Scope))[1]}")
    tokens = open_session(member, at=timezone.now())
    crm, crm_secret = connect(business)
    monkeypatch.setattr(apply_crm_message, "delay", apply_crm_message)
    made = {"integration_id": str(crm.pk)}
    # What only the moment knows stands in for the example's own.
    instead = {
        "POST /api/v1/auth/token": lambda: {"code": sent_code(PHONE)},
        "POST /api/v1/auth/token/refresh": lambda: {"refresh": tokens.refresh},
        "POST /api/v1/webhook-endpoints": lambda: {"url": "http://127.0.0.1:9/hook"},
        "POST /api/v1/auth/logout": lambda: {"refresh": "unknown"},
    }
    makes = {
        "POST /api/v1/auth/otp": None,
        "POST /api/v1/transactions": "transaction_id",
        "POST /api/v1/webhook-endpoints": "endpoint_id",
    }

    def caller(operation: Operation) -> Caller:
        if "/me" in operation.path and "/members" not in operation.path:
            return Caller(f"Bearer {open_session(member, at=timezone.now()).access}")
        return Caller() if "/auth/" in operation.path else till

    def send(operation: Operation, body: Any, **headers: str) -> Any:
        path = re.sub(r"{(\w+)}", lambda name: made[name[1]], operation.path.removeprefix("/api/v1/"))
        signed = simple(crm_secret, encoded(body)) if "/crm/" in operation.path else {}
        answer = caller(operation).send(operation.method, path, body, **signed, **headers)
        if answer.status_code == 201 and makes.get(str(operation)):
            made[makes[str(operation)]] = answer.json()["id"]
        return answer

    def each() -> Iterator[tuple[Operation, Any, Any]]:
        for operation in sorted(operations(), key=lambda each: str(each) not in makes):
            if operation.example is not None:
                change = instead.get(str(operation), dict)()
                yield operation, operation.example | change if change else operation.example, send

    return each


def test_every_example_is_accepted(play):
    for operation, body, send in play():
        answer = send(operation, body)

        assert answer.status_code < 300, (str(operation), answer.content)
        assert operation.wrong(answer) is None, str(operation)
        if "rejected" in (answer.json() if answer.content else {}):
            assert answer.json()["rejected"] == 0


def test_every_value_changed_under_a_used_idempotency_key_is_named(play, proved):
    """Of every call that has a body: nothing is done, the first answer stays the answer."""
    changes = 0
    for operation, body, send in play():
        if not any(parameter["name"] == "Idempotency-Key" for parameter in operation.parameters):
            continue
        key = {"Idempotency-Key": str(operation)}
        first = send(operation, body, **key)
        stored = KeptAnswer.objects.values_list("pk", flat=True)
        kept = set(stored)
        for dotted, changed in differing_from(body):
            answer = send(operation, changed, **key)

            status, code, errors = refusal(answer)
            assert (status, code) == (422, "idempotency_key_reused"), (str(operation), dotted)
            named = {field for field, _code in errors}
            below = {name for name in named if f"{name}.".startswith(f"{dotted}.")}
            # Where the only field is left out, that nothing is left is named as well.
            assert below, (str(operation), dotted, named)
            assert named - below <= {dotted.rpartition(".")[0]}, (str(operation), dotted, named)
            changes += 1
        again = send(operation, body, **key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again["Idempotent-Replayed"] == "true"
        assert set(stored.all()) == kept
    proved(f"{changes} changes")
