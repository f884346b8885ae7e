"""Whatever is sent, the API answers as its description says, and never with an error of ours.

A generator of our own over the served description, from a fixed seed: bodies that it allows, bodies
with one thing wrong, and what is no body at all; for each call and each kind of caller.
"""

import random
import zlib
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, Member, Session, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.models import Coupon, Quote
from tests.api import Caller
from tests.prove import at_length
from tests.svoykrug.api_schema import as_json, damaged, operations, value
from tests.svoykrug.staff_rows import open_shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]

# Of each call and caller; the full run makes more than ten thousand.
CASES = at_length(briefly=12, full=150)
CALLERS = ("visitor", "key", "member")
RAW = (b"", b"{", b"[1,", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 3000, b"1" * 5000, b'"' + b"x" * 70000 + b'"')
TYPES = ("application/json", "application/json; charset=utf-8", "text/plain", "multipart/form-data", "",
         "application/json; charset=utf-16", "application/x-www-form-urlencoded")  # fmt: skip
ACCEPTS = ("*/*", "application/json", "text/html", "application/xml;q=0.1", "x", "")


@pytest.fixture
def shop(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    opened = open_shop("ours", code="A")
    Coupon.objects.update(valid_until=timezone.now() + timedelta(days=7))
    return opened


@pytest.fixture(params=CALLERS)
def caller(request, shop):
    if request.param == "key":
        return Caller(f"Api-Key {create_api_key(business=shop.business, scopes=list(ApiKey.Scope))[1]}")
    if request.param == "member":
        return Caller(f"Bearer {open_session(shop.rows[Member], at=timezone.now()).access}")
    return Caller()


def things(shop):
    device = Session.objects.filter(member=shop.rows[Member]).first()
    return {
        "transaction_id": shop.rows[Transaction].pk,
        "quote_id": shop.rows[Quote].pk,
        "code": shop.rows[Coupon].code,
        "device_id": device.family if device else None,
    }


def fields(shop, chance):
    """Values of fields that mean something at this shop."""
    customer = shop.rows[Member]
    return {
        "member": {"phone": customer.phone},
        "phone": customer.phone,
        "amount": chance.choice(["100.00", "499.99", "0.01"]),
        "external_id": chance.choice(["e1", "e2", f"e{chance.randrange(10**6)}"]),
        "refund_of": "ours-receipt-A",
        "purchased_at": timezone.now().isoformat(),
        "url": "http://127.0.0.1:9/hook",
        "partner": str(shop.business.pk),
    }


def address(operation, known, chance):
    path, query = operation.path, []
    for parameter in operation.parameters:
        name, odd = parameter["name"], chance.random() < 0.3
        made = damaged(None, chance) if odd else value(parameter["schema"], chance, known, name)
        if parameter["in"] == "path":
            # Something that the route takes, or the call would not be reached.
            own = known.get(name) if chance.random() < 0.6 else None
            made = own or value(parameter["schema"], chance, {})
            path = path.replace(f"{{{name}}}", quote(str(made), safe=""))
        elif parameter["in"] == "query" and chance.random() < 0.5:
            text = str(made).encode("utf-8", "replace")
            query += [f"{quote(name)}={quote(text)}"] * chance.choice([1, 1, 1, 2])
    if chance.random() < 0.1:
        query.append("unknown=1")
    return path, "&".join(query)


def body_of(operation, known, chance):
    if operation.body is None:
        return chance.choice(RAW) if chance.random() < 0.2 else b""
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(RAW)
    made = value(operation.body, chance, known)
    if kind < 0.5:
        for _ in range(chance.choice([1, 1, 2, 3])):
            made = damaged(made, chance)
    return as_json(made).encode()


def headers_of(operation, chance):
    headers = {}
    if operation.method != "GET" and chance.random() < 0.3:
        keys = ["k1", "k2", f"k{chance.randrange(10**9)}", "x" * 255, "", "x" * 256, "ключ"]
        headers["Idempotency-Key"] = chance.choice(keys)
    if chance.random() < 0.15:
        headers["Accept"] = chance.choice(ACCEPTS)
    if chance.random() < 0.1:
        headers["X-Request-Id"] = chance.choice(["a" * 8, "\n", "x" * 500, "ü"])
    return headers


def test_every_answer_is_as_described(shop, caller, request, proved):
    who = request.node.callspec.params["caller"]
    answered: dict[int, int] = {}
    for operation in operations():
        # A call's cases are its own: a new call does not change those of the others.
        chance = random.Random(zlib.crc32(f"{who} {operation}".encode()))
        for _case in range(CASES):
            told = things(shop) | fields(shop, chance)
            path, query = address(operation, told, chance)
            kind = chance.choice(TYPES) if chance.random() < 0.1 else TYPES[0]
            body, more = body_of(operation, told, chance), headers_of(operation, chance)
            answer = caller.client.generic(
                operation.method, path, body, content_type=kind, QUERY_STRING=query,
                headers=caller.headers | more,
            )  # fmt: skip

            sent = (str(operation), path, query, kind, more, body[:600])
            assert operation.wrong(answer) is None, (operation.wrong(answer), sent, answer.content[:600])
            answered[answer.status_code] = answered.get(answer.status_code, 0) + 1
            if who == "member" and answer.status_code == 204 and "auth/sessions" in path:
                caller = Caller(f"Bearer {open_session(shop.rows[Member], at=timezone.now()).access}")
    # The cases reach what they are meant to: refusals and successes both.
    assert {200, 400, 406} <= answered.keys() if who != "visitor" else {400, 401} <= answered.keys()
    proved(f"{sum(answered.values())} cases: {dict(sorted(answered.items()))}")


def test_a_wrong_answer_would_be_noticed(shop):
    """The judge itself: an answer that is not described, and one that lacks a field."""

    class Answer:
        status_code, content = 200, b"{}"
        headers = {"Content-Type": "application/json"}

        def __getitem__(self, name):
            return self.headers[name]

        def json(self):
            return {}

    me = next(operation for operation in operations() if str(operation) == "GET /api/v1/me")
    teapot = Answer()
    teapot.status_code = 418

    assert me.wrong(teapot) == "status 418 is not described"
    assert "is a required property" in me.wrong(Answer())
