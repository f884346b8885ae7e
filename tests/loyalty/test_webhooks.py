"""Partners' systems are told at least once, signed, in order, and never one at another's cost."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone, translation
from standardwebhooks import Webhook, WebhookVerificationError

from loyalty.errors import WebhookRefused
from loyalty.models import (
    Business,
    Notification,
    StaffMembership,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from loyalty.services.webhooks import delivery as deliveries
from loyalty.services.webhooks.delivery import PAUSES, deliver, deliver_due, forget_old_events
from loyalty.services.webhooks.endpoints import (
    MOST_ENDPOINTS,
    add_endpoint,
    change_endpoint,
    change_secret,
    pause,
    ping,
    redeliver,
    remove_endpoint,
    resume,
)
from loyalty.services.webhooks.outbox import Event, publish
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write
from svoykrug.outbound import AddressRefused
from tests.factories import BusinessFactory, MemberFactory
from tests.receivers import receiver, reply

pytestmark = pytest.mark.django_db
threaded = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture(autouse=True)
def loopback_allowed(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.WEBHOOK_SECONDS = 2
    with translation.override("en"):
        yield


@pytest.fixture
def business():
    return BusinessFactory(code="B01")


def tell(business, *kinds, object_id=None):
    """Publish events of one object as a purchase would: in one statement, a transaction each."""
    object_id = object_id or uuid7()
    for number, kind in enumerate(kinds):
        write = Write()
        event = Event(business.pk, kind, object_id, {"number": number, "shop": "Чайная"})
        publish(write, [event], at=timezone.now())
        write.execute()
    return object_id


def endpoint_for(business, url, *events):
    return add_endpoint(business=business, url=url, events=events or ["purchase.created"])


def kept(got, status=200):
    """Answer with that status, and keep headers and body of what came."""

    def answer(handler):
        got.append(({name.lower(): value for name, value in handler.headers.items()}, handler.body))
        reply(handler, status)

    return answer


def deliver_all():
    """Deliver what is due now, one after the other, in this thread."""
    while due := deliveries._due(at=timezone.now()).order_by("event").first():
        deliver(due.pk)


def come_due():
    WebhookDelivery.objects.filter(status="pending").update(next_attempt_at=timezone.now())


def test_the_receivers_own_library_accepts_the_signature(business):
    got = []
    with receiver(
        lambda handler: (got.append((dict(handler.headers), handler.body)), reply(handler, 204))
    ) as url:
        _endpoint, secret = endpoint_for(business, url)
        object_id = tell(business, "purchase.created")
        deliver_all()

    headers, body = got[0]
    message = Webhook(secret).verify(body, headers)
    assert (message["type"], message["data"]) == ("purchase.created", {"number": 0, "shop": "Чайная"})
    event = WebhookEvent.objects.get(object_id=object_id)
    assert headers["webhook-id"] == str(event.pk)
    assert message["timestamp"].startswith(event.created_at.isoformat()[:19])
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    sent = WebhookDelivery.objects.get()
    assert (sent.status, sent.attempts, sent.answer_status) == ("delivered", 1, 204)


def test_while_a_secret_is_changed_both_verify_and_after_a_day_the_new_one_alone(business, monkeypatch):
    got = []
    with receiver(
        lambda handler: (got.append((dict(handler.headers), handler.body)), reply(handler, 200))
    ) as url:
        endpoint, old = endpoint_for(business, url)
        new = change_secret(endpoint.pk, at=timezone.now())
        tell(business, "purchase.created")
        deliver_all()
        WebhookEndpoint.objects.update(old_secret_until=timezone.now())
        tell(business, "purchase.created")
        deliver_all()

    def verified(secret, number):
        headers, body = got[number]
        try:
            return bool(Webhook(secret).verify(body, headers))
        except WebhookVerificationError:
            return False

    assert [verified(old, 0), verified(new, 0), verified(old, 1), verified(new, 1)] == [
        True,
        True,
        False,
        True,
    ]


def test_the_secret_is_shown_once_and_stored_encrypted(business):
    endpoint, secret = endpoint_for(business, "http://127.0.0.1:9/")
    endpoint.refresh_from_db()
    assert secret.startswith("whsec_")
    assert secret.encode() not in bytes(endpoint.secret)
    with connection.cursor() as cursor:
        cursor.execute("SELECT changes::text FROM audit_logs WHERE table_name = 'webhook_endpoints'")
        assert all(secret[6:20] not in row[0] for row in cursor.fetchall())


def test_only_what_was_asked_for_goes_to_whom_it_concerns(business):
    other = BusinessFactory(code="B02")
    with receiver(lambda handler: reply(handler, 200)) as url:
        endpoint, _ = endpoint_for(business, url, "purchase.refunded")
        endpoint_for(other, url)
        tell(business, "purchase.created", "purchase.refunded")
        rows = WebhookDelivery.objects.values_list("endpoint", "event__type")
        assert list(rows) == [(endpoint.pk, "purchase.refunded")]


def test_events_of_one_object_wait_for_each_other_and_others_do_not(business):
    seen, refuse = [], {"first": True}

    def answer(handler):
        message = json.loads(handler.body)
        seen.append((handler.headers["webhook-id"], message["type"]))
        status = 500 if message["type"] == "purchase.created" and refuse["first"] and len(seen) == 1 else 200
        reply(handler, status)

    with receiver(answer) as url:
        endpoint_for(business, url, "purchase.created", "purchase.refunded")
        tell(business, "purchase.created", "purchase.refunded")
        tell(business, "purchase.created")
        deliver_all()
        # The first object's purchase was refused: its refund waits, the other purchase has gone out.
        assert [kind for _, kind in seen] == ["purchase.created", "purchase.created"]
        come_due()
        deliver_all()

    assert [kind for _, kind in seen[2:]] == ["purchase.created", "purchase.refunded"]
    assert seen[2][0] == seen[0][0], "a repeat is known by its id"
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"delivered"}


def test_tries_are_made_for_three_days_and_then_the_owner_is_told(business):
    owner = MemberFactory()
    StaffMembership.objects.create(member=owner, business=business, role="owner")
    assert timedelta(days=2.5) < sum(PAUSES, timedelta()) < timedelta(days=3.5)
    assert list(PAUSES) == sorted(PAUSES)
    with receiver(lambda handler: reply(handler, 503, b"down")) as url:
        endpoint_for(business, url)
        tell(business, "purchase.created")
        for number in range(len(PAUSES)):
            before = timezone.now()
            deliver(WebhookDelivery.objects.get().pk)
            tried = WebhookDelivery.objects.get()
            assert (tried.status, tried.attempts, tried.answer) == ("pending", number + 1, "down")
            assert before + PAUSES[number] <= tried.next_attempt_at <= timezone.now() + PAUSES[number]
        deliver(WebhookDelivery.objects.get().pk)

    assert WebhookDelivery.objects.get().status == "failed"
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.status, endpoint.failing_since is not None) == ("failing", True)
    told = Notification.objects.get()
    assert (told.member, told.template, told.purpose) == (owner, "webhook_failing", "service")
    assert told.payload["url"] == endpoint.url
    # Nothing new is queued for it, and what happens meanwhile can be caught up with.
    tell(business, "purchase.created")
    assert WebhookDelivery.objects.count() == 1


def test_a_receiver_that_is_gone_for_good_is_switched_off_at_once(business):
    with receiver(lambda handler: reply(handler, 410)) as url:
        endpoint_for(business, url)
        tell(business, "purchase.created")
        deliver_all()
    assert WebhookEndpoint.objects.get().status == "failing"


def test_a_resumed_endpoint_gets_what_it_missed_once(business):
    got = []
    with receiver(kept(got)) as url:
        endpoint, _ = endpoint_for(business, url)
        start = timezone.now()
        tell(business, "purchase.created")
        deliver_all()
        pause(endpoint.pk)
        missed = tell(business, "purchase.created")
        assert len(got) == 1
        resume(endpoint.pk, missed_since=start, at=timezone.now())
        resume(endpoint.pk, missed_since=start, at=timezone.now())
        deliver_all()
    assert len(got) == 2
    assert WebhookDelivery.objects.filter(object_id=missed, status="delivered").count() == 1


def test_a_delivery_is_sent_again_under_the_same_id(business):
    ids = []
    with receiver(lambda handler: (ids.append(handler.headers["webhook-id"]), reply(handler, 200))) as url:
        endpoint, _ = endpoint_for(business, url)
        ping(endpoint, at=timezone.now())
        deliver_all()
        redeliver(WebhookDelivery.objects.get().pk, at=timezone.now())
        deliver_all()
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert WebhookEvent.objects.get().type == "test.ping"


def test_a_business_without_endpoints_is_marked_so(business):
    endpoint, _ = endpoint_for(business, "http://127.0.0.1:9/")
    assert Business.objects.get(pk=business.pk).has_webhooks
    remove_endpoint(endpoint.pk)
    remove_endpoint(endpoint.pk)
    assert not Business.objects.get(pk=business.pk).has_webhooks


def test_bad_endpoints_are_refused_and_nothing_is_stored(business, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with pytest.raises(AddressRefused):
        endpoint_for(business, "https://127.0.0.1/")
    with pytest.raises(WebhookRefused, match="Choose among"):
        endpoint_for(business, "https://8.8.8.8/", "purchase.created", "no.such.event")
    assert not WebhookEndpoint.objects.exists()
    for number in range(MOST_ENDPOINTS):
        endpoint_for(business, f"https://8.8.8.8/{number}")
    with pytest.raises(WebhookRefused, match="at most 10"):
        endpoint_for(business, "https://8.8.8.8/more")
    endpoint = WebhookEndpoint.objects.first()
    with pytest.raises(AddressRefused):
        change_endpoint(endpoint.pk, url="https://10.0.0.1/")


def test_an_address_that_became_private_is_not_connected_to(business, settings):
    hits = []
    with receiver(lambda handler: (hits.append(1), reply(handler, 200))) as url:
        endpoint_for(business, url)
        tell(business, "purchase.created")
        settings.OUTBOUND_ALLOWED_NETWORKS = []
        deliver(WebhookDelivery.objects.get().pk)
    assert hits == []
    assert "private" in WebhookDelivery.objects.get().answer


def test_old_events_go_with_their_deliveries(business):
    endpoint_for(business, "http://127.0.0.1:9/")
    tell(business, "purchase.created")
    assert forget_old_events(at=timezone.now() + timedelta(days=29)) == 0
    assert forget_old_events(at=timezone.now() + timedelta(days=31)) == 1
    assert not WebhookDelivery.objects.exists()


@threaded
def test_a_slow_receiver_delays_nobody_else():
    """The slow one takes two seconds an answer; the quick one's ten arrive while it takes its first."""
    slow_shop, quick_shop = BusinessFactory(code="B01"), BusinessFactory(code="B02")
    first_slow_answer, quick = threading.Event(), []

    def slow(handler):
        time.sleep(1.5)
        reply(handler, 200)
        first_slow_answer.set()

    def fast(handler):
        quick.append(first_slow_answer.is_set())
        reply(handler, 200)

    with receiver(slow) as slow_url, receiver(fast) as fast_url:
        endpoint_for(slow_shop, slow_url)
        endpoint_for(quick_shop, fast_url)
        for _event in range(3):
            tell(slow_shop, "purchase.created")
        for _event in range(10):
            tell(quick_shop, "purchase.created")
        delivered = deliver_due(until=time.monotonic() + 2)

    assert quick == [False] * 10
    assert delivered >= 11


@threaded
def test_two_workers_deliver_each_event_once():
    business = BusinessFactory(code="B01")
    ids = []

    def answer(handler):
        time.sleep(0.01)
        ids.append(handler.headers["webhook-id"])
        reply(handler, 200)

    def work(results):
        try:
            results.append(deliver_due(until=time.monotonic() + 5))
        finally:
            connection.close()

    with receiver(answer) as url:
        endpoint_for(business, url)
        for _event in range(20):
            tell(business, "purchase.created")
        results = []
        workers = [threading.Thread(target=work, args=(results,)) for _worker in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=30)

    assert len(ids) == len(set(ids)) == 20
    assert sorted(results, key=str) == [20, None, None]
