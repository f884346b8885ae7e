"""How long answers of the API and pages take, over the web server of the Procfile."""

import json
from collections.abc import Sequence
from itertools import islice
from statistics import median
from urllib.parse import quote

from django.conf import settings
from django.test import Client
from django.utils import timezone

from loyalty.backends import PHONE_CODE
from loyalty.models import Business, Member, StaffMembership
from loyalty.services.sessions import open_session
from tests.bench import yardstick
from tests.bench.history import history
from tests.bench.purchases import CLIENTS, numbers
from tests.bench.registry import Result, figure
from tests.bench.web import Load, load, request_bytes, web_server
from tests.bench.world import BUSINESSES, MEMBERS, api_keys, people

SECONDS = 5
MOST_REQUESTS = 10_000
PAGES = 200
DIFFERENT_MEMBERS = 50
BATCH_ROWS, BATCHES = 1000, 24
# Each worker of the Procfile takes some of them at once, so that none is measured cold.
WARM_UP_BATCHES, WARM_UP_CLIENTS = 12, 4


def answered(requests: Sequence[bytes], *, clients: int, seconds: float = SECONDS) -> Load:
    """Serve the requests after a short warm-up; each must be answered by 200."""
    with web_server() as port:
        load(port, requests[: 4 * clients], clients=clients, seconds=30)
        seen = load(port, requests, clients=clients, seconds=seconds)
    seen.expect(200)
    return seen


@figure
def api_me() -> Result:
    """A member's app asks for the member's own data."""
    members = people()[0][:DIFFERENT_MEMBERS]
    tokens = [open_session(member, at=timezone.now()).access for member in members]
    asked = [request_bytes("GET", "/api/v1/me", Authorization=f"Bearer {token}") for token in tokens]
    return _rate(asked)


@figure
def api_lookup() -> Result:
    """A till looks a member up by phone."""
    members = people()[0]
    asked = [
        request_bytes("GET", f"/api/v1/members/lookup?phone={quote(member.phone or '')}", Authorization=key)
        for member, key in zip(members, _authorizations() * (MEMBERS // BUSINESSES), strict=True)
    ]
    return _rate(asked)


def _rate(asked: list[bytes]) -> Result:
    seen = answered((asked * (1 + MOST_REQUESTS // len(asked)))[:MOST_REQUESTS], clients=CLIENTS)
    rate, p99 = seen.per_second, seen.percentile(0.99)
    ok = rate >= 600 and p99 <= 60
    note = f"{CLIENTS} clients; {seen.sentence()}"
    return Result(rate, "requests/s", "≥ 600 requests/s, p99 ≤ 60 ms", ok, note=note)


@figure
def api_batch_1000() -> Result:
    """Batches of 1,000 purchases over HTTP, in turns with one statement that writes as many."""
    people()
    keys = _authorizations()
    asked = []
    for batch in range(WARM_UP_BATCHES + BATCHES):
        rows = [
            {
                "external_id": f"api-batch-{number}",
                "member": {"card": f"bench-{number * 7919 % MEMBERS}"},
                "amount": f"{100 + number % 900}.00",
                "category": "tea",
            }
            for number in islice(numbers, BATCH_ROWS)
        ]
        body = json.dumps({"transactions": rows}).encode()
        key = keys[batch % BUSINESSES]
        asked.append(request_bytes("POST", "/api/v1/transactions/batch", body, Authorization=key))
    with web_server() as port:
        load(port, asked[:WARM_UP_BATCHES], clients=WARM_UP_CLIENTS, seconds=60)
        seen, bare = Load(), []
        for request in asked[WARM_UP_BATCHES:]:
            bare.append(1000 * BATCH_ROWS / yardstick.set_per_second(BATCH_ROWS))
            one = load(port, [request], clients=1, seconds=60)
            one.expect(200)
            seen.latencies += one.latencies
    middle, theirs = seen.percentile(0.5), median(bare)
    note = f"the bare statement took {theirs:.0f} ms; {seen.sentence()}"
    return Result(middle, "ms, p50", "p50 ≤ 250 ms", middle <= 250, theirs, middle / theirs, note)


@figure
def member_home() -> Result:
    """Members' home page, 500,000 purchases in the database."""
    history()
    members = Member.objects.filter(card_number__startswith="card-").order_by("pk")[:DIFFERENT_MEMBERS]
    cookies = [_cookie(member, PHONE_CODE) for member in members]
    return _page("/", cookies, most_ms=100)


@figure
def admin_purchases() -> Result:
    """The first page of 500,000 purchases, as the programme's staff see it."""
    return _page("/admin/loyalty/transaction/", [_staff()], most_ms=300)


@figure
def admin_audit() -> Result:
    """The first page of 1,000,000 rows of audit."""
    return _page("/admin/loyalty/auditlog/", [_staff()], most_ms=300)


def _page(path: str, cookies: list[str], *, most_ms: int) -> Result:
    asked = [request_bytes("GET", path, Cookie=cookie) for cookie in cookies]
    seen = answered((asked * PAGES)[:PAGES], clients=1, seconds=60)
    p95 = seen.percentile(0.95)
    note = f"{PAGES} pages, one after the other; {seen.sentence()}"
    return Result(p95, "ms, p95", f"p95 ≤ {most_ms} ms", p95 <= most_ms, note=note)


def _staff() -> str:
    history()
    programme = Business.objects.get(is_programme=True)
    phone = "+79029999999"
    staff = Member.objects.filter(phone=phone).first()
    if staff is None:
        staff = Member.objects.create_user(phone, is_staff=True)
        StaffMembership.objects.create(member=staff, business=programme, role=StaffMembership.Role.OWNER)
    return _cookie(staff, "django.contrib.auth.backends.ModelBackend")


def _cookie(member: Member, backend: str) -> str:
    client = Client()
    client.force_login(member, backend=backend)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _authorizations() -> list[str]:
    return [f"Api-Key {key}" for key in api_keys()]
