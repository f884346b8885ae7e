"""Every route the site has, asked by everybody in every way: who meets what, and never another's.

The routes come from Django's resolver. One that stands in no table here fails the build, so whoever
adds a call says whom it is for.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import randbelow
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from loyalty.api.base import ApiView
from loyalty.consent_texts import CURRENT
from loyalty.models import (
    ApiKey,
    Business,
    Consent,
    CrmIntegration,
    Member,
    Session,
    StaffMembership,
    StatusTier,
    Transaction,
    WebhookDelivery,
    WebhookEndpoint,
)
from loyalty.services.api_keys import create_api_key, revoke_api_key
from loyalty.services.sessions import open_session
from loyalty.services.webhooks.endpoints import add_endpoint, ping
from promos.models import Coupon, Quote
from tests.api import Caller, refusal
from tests.factories import MemberFactory, StaffFactory
from tests.svoykrug.staff_rows import CANARY, Shop, open_shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes", "clickhouse_database")]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ABSENT = "0198f2f0-0000-7000-8000-000000000000"
API = "api/v1/"


@dataclass(frozen=True)
class Scene:
    """Two shops with their customers signed in; the second's texts are canaries."""

    own: Shop
    other: Shop
    devices: dict[str, Session]

    def member(self, shop: Shop) -> Member:
        return shop.rows[Member]


Make = Callable[[Scene], Any]


@dataclass(frozen=True)
class Call:
    """Who may make it, and what they are answered.

    who     "anyone", "member", or the scope that a key needs
    body    what to send, made for the scene
    thing   the object in the address, of a shop
    """

    who: str
    answer: int
    body: Make | None = None
    thing: Callable[[Scene, Shop], Any] | None = None
    query: Make | None = None


def bill(scene: Scene) -> dict[str, Any]:
    return {"member": {"phone": scene.member(scene.own).phone}, "amount": "100.00"}


def a_refund(scene: Scene) -> dict[str, Any]:
    return {"external_id": uuid.uuid4().hex, "amount": "10.00"}


def an_early_refund(scene: Scene) -> dict[str, Any]:
    return bill(scene) | {"external_id": uuid.uuid4().hex, "refund_of": "still to come"}


def a_webhook(scene: Scene) -> dict[str, Any]:
    return {"url": "http://127.0.0.1:9/hook", "events": ["purchase.created"]}


def row(model: type) -> Callable[[Scene, Shop], Any]:
    return lambda scene, shop: shop.rows[model].pk


def device(scene: Scene, shop: Shop) -> uuid.UUID:
    return scene.devices[shop.business.code].family


WRITE, READ = ApiKey.Scope.PURCHASES_WRITE, ApiKey.Scope.PURCHASES_READ
MEMBERS, COUPONS = ApiKey.Scope.MEMBERS_READ, ApiKey.Scope.COUPONS_READ
ANALYTICS = ApiKey.Scope.ANALYTICS_READ

# Opened by a signature, not by a credential (tests/promos/crm/test_events_api.py); who has an address
# of it learns that it is one.
SIGNED = "crm/<integration_id>/events"

TABLE: dict[str, dict[str, Call]] = {
    "auth/otp": {"POST": Call("anyone", 202, lambda scene: {"phone": f"+7916{randbelow(10**7):07}"})},
    "auth/token": {"POST": Call("anyone", 401, lambda scene: {"phone": "+79161234217", "code": "000000"})},
    "auth/token/refresh": {"POST": Call("anyone", 401, lambda scene: {"refresh": "x"})},
    "auth/logout": {"POST": Call("anyone", 204, lambda scene: {"refresh": "x"})},
    "auth/sessions": {"GET": Call("member", 200)},
    "auth/sessions/<device_id>": {"DELETE": Call("member", 204, thing=device)},
    "me": {"GET": Call("member", 200), "PATCH": Call("member", 200, lambda scene: {"city": "Тула"})},
    "me/balance": {"GET": Call("member", 200)},
    "me/code": {"GET": Call("member", 200)},
    "me/consents": {
        "GET": Call("member", 200),
        "PUT": Call("member", 200, lambda scene: {"advertising": {"inapp": True}}),
    },
    "me/coupons": {"GET": Call("member", 200)},
    "me/entries": {"GET": Call("member", 200)},
    "me/referral": {"GET": Call("member", 200)},
    "me/tier": {"GET": Call("member", 200)},
    "me/transactions": {"GET": Call("member", 200)},
    SIGNED: {"POST": Call("anyone", 401, lambda scene: {}, thing=row(CrmIntegration))},
    "offers": {"GET": Call("anyone", 200)},
    "businesses": {"GET": Call("anyone", 200)},
    "transactions": {
        "GET": Call(READ, 200),
        "POST": Call(WRITE, 201, lambda scene: bill(scene) | {"external_id": uuid.uuid4().hex}),
    },
    "transactions/batch": {"POST": Call(WRITE, 200, lambda scene: [])},
    "transactions/<transaction_id>": {"GET": Call(READ, 200, thing=row(Transaction))},
    "transactions/<transaction_id>/refunds": {"POST": Call(WRITE, 201, a_refund, row(Transaction))},
    "refunds": {"POST": Call(WRITE, 202, an_early_refund)},
    "quotes": {"POST": Call(WRITE, 201, bill)},
    "quotes/<quote_id>": {"DELETE": Call(WRITE, 204, thing=row(Quote))},
    "coupons/<code>": {"GET": Call(COUPONS, 200, thing=lambda scene, shop: shop.rows[Coupon].code)},
    "members/lookup": {
        "GET": Call(MEMBERS, 200, query=lambda scene: {"card": scene.member(scene.own).card_number})
    },
    "webhook-endpoints": {"GET": Call(READ, 200), "POST": Call(WRITE, 201, a_webhook)},
    "webhook-endpoints/<endpoint_id>": {
        "GET": Call(READ, 200, thing=row(WebhookEndpoint)),
        "PATCH": Call(WRITE, 200, lambda scene: {"description": "касса"}, row(WebhookEndpoint)),
        "DELETE": Call(WRITE, 204, thing=row(WebhookEndpoint)),
    },
    "webhook-deliveries": {"GET": Call(READ, 200)},
    "webhook-deliveries/<delivery_id>/redeliver": {"POST": Call(WRITE, 202, thing=row(WebhookDelivery))},
    "analytics/summary": {"GET": Call(ANALYTICS, 200)},
    "analytics/rfm": {"GET": Call(ANALYTICS, 200)},
    "analytics/cohorts": {"GET": Call(ANALYTICS, 200)},
    "analytics/win-win": {"GET": Call(ANALYTICS, 200)},
    "members/presence-code": {
        "POST": Call(WRITE, 202, lambda scene: {"member": {"phone": scene.member(scene.own).phone}})
    },
}

# Pages: what GET answers a visitor and a member; 302 leads to the sign-in or to the start.
PAGES: dict[str, tuple[int, int]] = {
    "": (302, 200),
    "sign-in/": (200, 302),
    "sign-in/code/": (302, 302),
    "sign-out/": (405, 405),
    "code/": (302, 200),
    "join/<code>/": (302, 302),
    "tier/": (302, 200),
    "invite/": (302, 200),
    "history/": (302, 200),
    "purchases/<purchase_id>/": (302, 200),
    "coupons/": (302, 200),
    "consents/": (302, 200),
    "offers/": (302, 200),
    "consents/<version>/<purpose>/<language>/": (200, 200),
    "language/": (302, 302),
    "healthz": (200, 200),
    "readyz": (200, 200),
    "metrics": (200, 200),
    "api/schema/": (200, 200),
    "api/docs/": (200, 200),
    "api(?:/|$)": (404, 404),
}
# The admin's pages that need nobody signed in.
OPEN_ADMIN = {"admin/login/", "admin/logout/"}


def routes(resolver: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every route with its view, parameters as <name>."""
    for found in resolver.url_patterns:
        text = re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", str(found.pattern)).removeprefix("^")
        if isinstance(found, URLResolver):
            yield from routes(found, before + text)
        else:
            assert isinstance(found, URLPattern)
            yield before + text, found.callback


def all_routes() -> dict[str, Any]:
    return dict(routes(get_resolver()))


def test_every_route_stands_in_a_table():
    expected = {API + path for path in TABLE} | PAGES.keys()

    assert {path for path in all_routes() if not path.startswith("admin/")} == expected


def test_every_call_of_the_api_passes_the_base_view():
    views = {path: callback.cls for path, callback in all_routes().items() if path.startswith(API)}

    assert [path for path, view in views.items() if not issubclass(view, ApiView)] == []
    named = {path: {*TABLE[path.removeprefix(API)]} for path in views}
    for path, view in views.items():
        assert {name.upper() for name in view.http_method_names if hasattr(view, name)} - {"OPTIONS"} == (
            named[path]
        ), path


# --- The API ------------------------------------------------------------------------------------------


@pytest.fixture
def scene(settings: Any) -> Scene:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    own, other = open_shop("ours", code="A"), open_shop(CANARY, code="B")
    devices = {}
    for shop in (own, other):
        open_session(shop.rows[Member], at=timezone.now(), user_agent=f"{shop.business.legal_name} phone")
        devices[shop.business.code] = Session.objects.get(member=shop.rows[Member])
        endpoint, _secret = add_endpoint(
            business=shop.business,
            url=f"http://127.0.0.1:9/{shop.business.legal_name.replace(' ', '-')}",
            events=["purchase.created"],
        )
        shop.rows[WebhookEndpoint] = endpoint
        shop.rows[WebhookDelivery] = ping(endpoint, at=timezone.now())
    Business.objects.filter(pk=other.business.pk).update(address="ул. Ленина, 1")  # Public, as the name is.
    Coupon.objects.update(valid_until=timezone.now() + timedelta(days=7))
    return Scene(own, other, devices)


@dataclass
class Cast:
    """Callers by name; `may` says whether a caller may make a call."""

    callers: dict[str, Caller] = field(default_factory=dict)

    def status(self, name: str, call: Call) -> int | None:
        """Return the status of a refusal, or None: the caller may."""
        if call.who == "anyone":
            return None
        if name in {"visitor", "wrong key", "revoked key", "wrong token", "old token", "other scheme"}:
            return 401
        if name == "key without scopes":
            return 403
        if name == "key":
            return 403 if call.who == "member" else None
        if name == "owner by password":
            return None if call.who in {"member", ANALYTICS} else 403
        assert name in {"member", "staff", "cashier by password"}
        return None if call.who == "member" else 403


@pytest.fixture
def cast(scene: Scene) -> Cast:
    business, member = scene.own.business, scene.member(scene.own)
    revoked, revoked_secret = create_api_key(business=business, scopes=list(ApiKey.Scope))
    revoke_api_key(revoked, at=timezone.now())
    cashier = StaffFactory(business=business, role=StaffMembership.Role.CASHIER).member

    def key(scopes: Any) -> str:
        return f"Api-Key {create_api_key(business=business, scopes=scopes)[1]}"

    def token(who: Member, *, as_staff: bool = False, **ago: int) -> str:
        tokens = open_session(who, as_staff=as_staff, at=timezone.now() - timedelta(**ago))
        return f"Bearer {tokens.access}"

    return Cast({
        name: Caller(authorization)
        for name, authorization in {
            "visitor": "",
            "wrong key": "Api-Key sk_live_" + "x" * 40,
            "revoked key": f"Api-Key {revoked_secret}",
            "wrong token": "Bearer x.y.z",
            "old token": token(member, minutes=16),
            "other scheme": "Basic YTpi",
            "key without scopes": key([]),
            "key": key(list(ApiKey.Scope)),
            "member": token(member),
            "staff": token(scene.own.owner),
            "owner by password": token(scene.own.owner, as_staff=True),
            "cashier by password": token(cashier, as_staff=True),
        }.items()
    })  # fmt: skip


def ask(caller: Caller, scene: Scene, path: str, method: str, call: Call | None, thing: Any = None) -> Any:
    address = "/" + API + re.sub(r"<\w+>", str(thing), path)
    body = json.dumps(call.body(scene)) if call and call.body else ""
    query = call.query(scene) if call and call.query else {}
    if method in {"GET", "HEAD"}:
        return caller.client.generic(
            method,
            address,
            headers=caller.headers,
            QUERY_STRING="&".join(f"{k}={v}" for k, v in query.items()),
        )
    return caller.client.generic(
        method, address, body, content_type="application/json", headers=caller.headers
    )


CALLS = [(path, method) for path, calls in TABLE.items() for method in calls]


def stranger_to(path: str, name: str) -> bool:
    """The device in the address is the customer's, not staff's."""
    return path == "auth/sessions/<device_id>" and name in {
        "staff",
        "owner by password",
        "cashier by password",
    }


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_each_caller_is_answered_as_the_table_says(scene, cast, path, method):
    call = TABLE[path][method]
    for name, caller in cast.callers.items():
        if stranger_to(path, name):
            continue
        own = call.thing(scene, scene.own) if call.thing else None
        answer = ask(caller, scene, path, method, call, own)

        assert (name, answer.status_code) == (name, cast.status(name, call) or call.answer), answer.content
        if answer.status_code >= 400:
            refusal(answer)


@pytest.mark.parametrize("path", TABLE)
def test_every_other_method_is_refused(scene, cast, path):
    calls = TABLE[path]
    for method in METHODS:
        if method in calls:
            continue
        # Who may call the path at all is told that there is no such method; HEAD is GET without a body.
        call = next(iter(calls.values()))
        head = calls.get("GET") if method == "HEAD" else None
        for name, caller in cast.callers.items():
            if stranger_to(path, name):
                continue
            own = call.thing(scene, scene.own) if call.thing else None
            answer = ask(caller, scene, path, method, head, own)

            allowed = {head.answer} if head else {405}
            refused = cast.status(name, call)
            assert answer.status_code in ({refused, 405} if refused else allowed), (name, method)
            if answer.status_code >= 400 and method != "HEAD":
                refusal(answer)


def forbidden_words(scene: Scene) -> list[str]:
    """Return what no answer to a stranger may hold: texts, ids, phones and codes of the other shop."""
    other, customer = scene.other, scene.member(scene.other)
    # Partners and tiers are everybody's to know.
    rows = [other.rows[model] for model in other.rows if model not in (Business, StatusTier)]
    return [
        CANARY, customer.phone, customer.referral_code, other.rows[Coupon].code,
        str(scene.devices[other.business.code].family),
        *(str(instance.pk) for instance in rows),
    ]  # fmt: skip


def found_in(scene: Scene, answer: Any) -> list[str]:
    text = answer.content.decode() + str(answer.headers)
    return [word for word in forbidden_words(scene) if word.lower() in text.lower()]


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_anothers_object_is_told_from_none_by_nothing(scene, cast, path, method):
    call = TABLE[path][method]
    stored = {
        model: model.objects.count() for model in (Transaction, Quote, Session, Consent, WebhookEndpoint)
    }
    for caller in cast.callers.values():
        if call.thing is None:
            assert found_in(scene, ask(caller, scene, path, method, call)) == []
            continue
        absent = "0123456789" if path == "coupons/<code>" else ABSENT
        if path == SIGNED:
            assert ask(caller, scene, path, method, call, absent).status_code == 404
            continue
        foreign = ask(caller, scene, path, method, call, call.thing(scene, scene.other))
        missing = ask(caller, scene, path, method, call, absent)

        assert foreign.status_code == missing.status_code
        assert foreign.status_code in {401, 403, 404}
        assert found_in(scene, foreign) == []
        told = [{**answer.json(), "request_id": ""} for answer in (foreign, missing)]
        assert told[0] == told[1]
    if call.thing:
        assert {model: model.objects.count() for model in stored} == stored


def test_the_canary_is_seen_by_its_own():
    """Else the search above would find nothing in anybody's answers."""
    other = open_shop(CANARY, code="B")
    key = Caller(f"Api-Key {create_api_key(business=other.business, scopes=list(ApiKey.Scope))[1]}")
    customer = Caller(f"Bearer {open_session(other.rows[Member], at=timezone.now()).access}")

    own = [(key, "transactions"), (key, f"transactions/{other.rows[Transaction].pk}")]
    for caller, path in [*own, (customer, "me"), (customer, "me/transactions"), (customer, "me/coupons")]:
        assert CANARY in caller.get(path).content.decode(), path


@pytest.mark.parametrize("path", [path for path in TABLE if "<" in path and "<code>" not in path])
@pytest.mark.parametrize("thing", ["1", "x", "0198f2f0-0000-7000-8000-00000000000g", "%00", "..%2f.."])
def test_what_is_no_id_is_not_found(path, thing):
    answer = Caller().get(re.sub(r"<\w+>", thing, path))

    assert refusal(answer)[:2] == (404, "not_found")


# --- Pages --------------------------------------------------------------------------------------------


def page(path: str, scene: Scene, shop: Shop) -> str:
    values = {"<purchase_id>": str(shop.rows[Transaction].pk), "<code>": "ABCD2345", "api(?:/|$)": "api/none",
              "<version>": CURRENT, "<purpose>": "processing", "<language>": "ru"}  # fmt: skip
    for name, value in values.items():
        path = path.replace(name, value)
    return "/" + path


@pytest.mark.parametrize("path", PAGES)
def test_pages_open_to_whom_the_table_says_and_hold_nothing_of_others(scene, path, settings):
    member = Client()
    member.force_login(scene.member(scene.own), backend="loyalty.backends.PhoneCodeBackend")

    for client, expected in zip((Client(), member), PAGES[path], strict=True):
        answer = client.get(page(path, scene, scene.own))
        assert answer.status_code == expected, answer.content[:300]
        body = b"".join(answer) if answer.streaming else answer.content
        assert [word for word in forbidden_words(scene) if word.encode() in body] == []


@pytest.mark.parametrize("path", PAGES)
def test_no_page_breaks_at_any_method(scene, path):
    for member in (None, scene.member(scene.own)):
        for method in METHODS:
            client = Client(raise_request_exception=False)
            if member:
                client.force_login(member, backend="loyalty.backends.PhoneCodeBackend")
            assert client.generic(method, page(path, scene, scene.own)).status_code < 500, method


def test_anothers_purchase_is_a_missing_page(scene):
    client = Client()
    client.force_login(scene.member(scene.own), backend="loyalty.backends.PhoneCodeBackend")

    answers = [
        client.get(page("purchases/<purchase_id>/", scene, scene.other)),
        client.get(f"/purchases/{ABSENT}/"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    # Both carry their own address and a token for the form that changes the language.
    own_words = re.compile(rb"[A-Za-z0-9]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert own_words.sub(b"", answers[0].content) == own_words.sub(b"", answers[1].content)


@pytest.mark.parametrize("who", ["visitor", "member", "staff by a phone code"])
def test_the_admin_opens_to_nobody_without_a_password(scene, who):
    client = Client(raise_request_exception=False)
    if who != "visitor":
        member = scene.own.owner if who.startswith("staff") else MemberFactory()
        client.force_login(member, backend="loyalty.backends.PhoneCodeBackend")
    for path in all_routes():
        if not path.startswith("admin/") or path in OPEN_ADMIN:
            continue
        address = "/" + re.sub(r"\(\?P<\w+>.*?\)|<\w+>", ABSENT, path).rstrip("$")
        for method in ("GET", "POST"):
            answer = client.generic(method, address)
            assert answer.status_code in {302, 403, 404, 405}, (method, path)
            if answer.status_code == 302:
                assert answer["Location"].startswith("/admin/login/"), (method, path, answer["Location"])
            assert found_in(scene, answer) == []
