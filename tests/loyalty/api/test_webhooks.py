"""Integrators set up their webhooks themselves, and see nobody else's."""

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, WebhookDelivery, WebhookEndpoint
from loyalty.services.api_keys import create_api_key
from loyalty.services.webhooks.endpoints import add_endpoint, ping
from tests.factories import BusinessFactory

pytestmark = pytest.mark.django_db
ENDPOINTS, DELIVERIES = "/api/v1/webhook-endpoints", "/api/v1/webhook-deliveries"
ABSENT = "01940000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def loopback_allowed(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def business():
    return BusinessFactory(code="B01")


@pytest.fixture
def call(client):
    """Return a caller for a business's key: call(business)("post", path, body)."""

    def of(business, *, scopes=(ApiKey.Scope.PURCHASES_READ, ApiKey.Scope.PURCHASES_WRITE)):
        _key, secret = create_api_key(business=business, scopes=scopes)

        def send(method, path, body=None):
            more = {"data": body, "content_type": "application/json"} if body is not None else {}
            return getattr(client, method)(path, headers={"Authorization": f"Api-Key {secret}"}, **more)

        return send

    return of


def asked(**changes):
    return {"url": "http://127.0.0.1:9/hook", "events": ["purchase.created"]} | changes


def test_an_endpoint_is_made_read_changed_and_removed(business, call):
    send = call(business)

    made = send("post", ENDPOINTS, asked(description="Касса"))
    assert made.status_code == 201
    path = f"{ENDPOINTS}/{made.json()['id']}"
    assert made.json()["secret"].startswith("whsec_")
    assert "secret" not in send("get", path).json()
    assert [row["description"] for row in send("get", ENDPOINTS).json()["results"]] == ["Касса"]

    changed = send("patch", path, {"events": ["purchase.refunded"], "status": "paused"}).json()
    assert (changed["events"], changed["status"]) == (["purchase.refunded"], "paused")
    resumed = send("patch", path, {"status": "active", "missed_since": "2026-06-01T00:00:00+03:00"}).json()
    assert resumed["status"] == "active"

    assert send("delete", path).status_code == 204
    assert send("get", path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "not an address"}, "url"),
        ({"url": "https://8.8.8.8/" + "a" * 600}, "url"),
        ({"events": []}, "events"),
        ({"events": ["purchase.created", "nothing"]}, "events.1"),
        ({"events": "purchase.created"}, "events"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_a_bad_endpoint_is_refused_at_its_field(business, call, changes, field):
    answer = call(business)("post", ENDPOINTS, asked(**changes))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not WebhookEndpoint.objects.exists()


def test_missed_since_needs_to_resume(business, call):
    send = call(business)
    path = f"{ENDPOINTS}/{send('post', ENDPOINTS, asked()).json()['id']}"
    answer = send("patch", path, {"missed_since": "2026-06-01T00:00:00+03:00"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "missed_since")


def test_anothers_webhooks_do_not_exist(business, call):
    theirs, _ = add_endpoint(
        business=BusinessFactory(code="B02"), url="http://127.0.0.1:9/canary", events=["coupon.issued"]
    )
    delivery = ping(theirs, at=timezone.now())
    send = call(business)

    for identity in (theirs.pk, ABSENT):
        path = f"{ENDPOINTS}/{identity}"
        assert [send("get", path).status_code, send("delete", path).status_code] == [404, 404]
        assert send("patch", path, {"status": "paused"}).status_code == 404
    for identity in (delivery.pk, ABSENT):
        assert send("post", f"{DELIVERIES}/{identity}/redeliver", {}).status_code == 404
    assert send("get", ENDPOINTS).json()["results"] == []
    assert send("get", DELIVERIES).json()["results"] == []
    theirs.refresh_from_db()
    assert theirs.status == "active"


def test_a_key_that_may_not_read_purchases_may_not_have_them_sent(business, call):
    send = call(business, scopes=[ApiKey.Scope.PURCHASES_WRITE])
    answers = [send("post", ENDPOINTS, asked()), send("get", DELIVERIES)]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert all("purchases:read" in answer.json()["detail"] for answer in answers)
    assert not WebhookEndpoint.objects.exists()


def test_a_key_that_only_reads_changes_no_webhook(business, call):
    endpoint, _ = add_endpoint(business=business, url="http://127.0.0.1:9/", events=["purchase.created"])
    delivery = ping(endpoint, at=timezone.now())
    WebhookDelivery.objects.update(status="failed", attempts=14)
    send = call(business, scopes=[ApiKey.Scope.PURCHASES_READ])
    path = f"{ENDPOINTS}/{endpoint.pk}"

    refused = [
        send("post", ENDPOINTS, asked()), send("patch", path, {"status": "paused"}), send("delete", path),
        send("post", f"{DELIVERIES}/{delivery.pk}/redeliver", {}),
    ]  # fmt: skip

    assert [answer.status_code for answer in refused] == [403] * 4
    assert all("purchases:write" in answer.json()["detail"] for answer in refused)
    assert send("get", path).json()["status"] == WebhookEndpoint.objects.get().status == "active"
    assert WebhookDelivery.objects.get().status == "failed"


def test_webhooks_are_listed_newest_first_by_cursor_in_constant_queries(
    business, call, django_assert_num_queries
):
    send = call(business)
    rows = [send("post", ENDPOINTS, asked()).json()["id"]]
    with django_assert_num_queries(2):
        assert [row["id"] for row in send("get", ENDPOINTS).json()["results"]] == rows
    rows += [send("post", ENDPOINTS, asked()).json()["id"] for _endpoint in range(2)]
    with django_assert_num_queries(2):
        whole = send("get", ENDPOINTS).json()
    assert [row["id"] for row in whole["results"]] == rows[::-1]
    assert (whole["next"], whole["previous"]) == (None, None)

    first = send("get", f"{ENDPOINTS}?page_size=2").json()
    second = send("get", first["next"]).json()
    assert [[row["id"] for row in page["results"]] for page in (first, second)] == [rows[:0:-1], rows[:1]]
    assert send("get", f"{ENDPOINTS}?page_size=0").json()["errors"][0]["field"] == "page_size"


def test_deliveries_are_listed_newest_first_in_constant_queries(business, call, django_assert_num_queries):
    send = call(business)
    endpoint, _ = add_endpoint(business=business, url="http://127.0.0.1:9/", events=["purchase.created"])
    first = ping(endpoint, at=timezone.now())
    send("get", DELIVERIES)
    with django_assert_num_queries(2):
        assert [row["id"] for row in send("get", DELIVERIES).json()["results"]] == [str(first.pk)]
    later = [ping(endpoint, at=timezone.now()) for _ping in range(2)]
    with django_assert_num_queries(2):
        rows = send("get", DELIVERIES).json()["results"]
    assert [row["id"] for row in rows] == [str(row.pk) for row in (*reversed(later), first)]
    assert (rows[0]["type"], rows[0]["status"], rows[0]["endpoint"]) == (
        "test.ping",
        "pending",
        str(endpoint.pk),
    )


def test_a_delivery_is_sent_again(business, call):
    endpoint, _ = add_endpoint(business=business, url="http://127.0.0.1:9/", events=["purchase.created"])
    delivery = ping(endpoint, at=timezone.now())
    WebhookDelivery.objects.update(status="failed", attempts=14)
    answer = call(business)("post", f"{DELIVERIES}/{delivery.pk}/redeliver", {})
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "pending", 0)
