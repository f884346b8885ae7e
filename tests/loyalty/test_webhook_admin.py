"""The admin's pages of webhooks: set up, tried, paused, resumed; what was sent, sent again."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from loyalty.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from loyalty.services.webhooks.endpoints import add_endpoint, ping, secrets_of
from svoykrug.encryption import encrypt
from tests.factories import BusinessFactory, StaffFactory

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/hook"
DEEDS = ("ping", "new_secret", "pause", "resume", "remove")


@pytest.fixture(autouse=True)
def near(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def endpoint(business):
    return add_endpoint(business=business, url=URL, events=["purchase.created"])[0]


@pytest.fixture
def owner(business):
    return browser_of(StaffFactory(business=business, role="owner").member)


def browser_of(member):
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(member)
    return client


def page(name, *arguments, model="webhookendpoint"):
    return reverse(f"admin:loyalty_{model}_{name}", args=arguments)


def test_the_secret_is_shown_once(business, owner):
    answer = owner.post(
        page("add"), {"business": business.pk, "url": URL, "description": "Учёт", "events": ["coupon.issued"]}
    )

    made = WebhookEndpoint.objects.get()
    (secret,) = secrets_of(made, at=timezone.now())
    assert (made.url, made.description, made.events) == (URL, "Учёт", ["coupon.issued"])
    assert secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    business.refresh_from_db()
    assert business.has_webhooks
    for name in ("change", "history", "new_secret"):
        assert secret not in owner.get(page(name, made.pk)).content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "http://10.0.0.1/x"), ("url", "ftp://example.org/"), ("url", ""), ("events", ["test.ping"]),
     ("events", [])],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field_and_nothing_saved(business, owner, settings, field, value):
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    said = {"business": business.pk, "url": "https://93.184.216.34/hook", "events": ["coupon.issued"]}

    answer = owner.post(page("add"), said | {field: value})

    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not WebhookEndpoint.objects.exists()


def test_the_eleventh_webhook_is_refused_with_a_message(business, owner):
    for number in range(10):
        add_endpoint(business=business, url=f"{URL}/{number}", events=["coupon.issued"])

    answer = owner.post(
        page("add"), {"business": business.pk, "url": URL, "events": ["coupon.issued"]}, follow=True
    )

    assert [str(said) for said in answer.context["messages"]] == ["A business may have at most 10 webhooks."]
    assert WebhookEndpoint.objects.count() == 10


def test_changing_keeps_the_secret_and_the_state(owner, endpoint):
    before = secrets_of(endpoint, at=timezone.now())

    owner.post(
        page("change", endpoint.pk), {"url": URL + "2", "description": "x", "events": ["coupon.redeemed"]}
    )

    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.events, endpoint.status) == (URL + "2", ["coupon.redeemed"], "active")
    assert secrets_of(endpoint, at=timezone.now()) == before


def test_a_new_secret_signs_beside_the_old_one(owner, endpoint):
    old = secrets_of(endpoint, at=timezone.now())

    answer = owner.post(page("new_secret", endpoint.pk))

    endpoint.refresh_from_db()
    new, *rest = secrets_of(endpoint, at=timezone.now())
    assert rest == old
    assert new in answer.content.decode()
    assert old[0] not in answer.content.decode()


def test_a_test_event_is_queued_by_post_alone(owner, endpoint):
    owner.get(page("ping", endpoint.pk))
    assert not WebhookEvent.objects.exists()

    owner.post(page("ping", endpoint.pk))

    assert WebhookDelivery.objects.get().event.type == "test.ping"


def test_paused_then_resumed_it_gets_what_it_missed(owner, endpoint):
    owner.post(page("pause", endpoint.pk))
    endpoint.refresh_from_db()
    assert endpoint.status == "paused"
    assert owner.post(page("ping", endpoint.pk)).status_code == 403
    WebhookEvent.objects.create(
        business=endpoint.business, type="purchase.created", object_id=endpoint.pk, data={}
    )

    owner.post(page("resume", endpoint.pk))

    endpoint.refresh_from_db()
    assert endpoint.status == "active"
    assert WebhookDelivery.objects.get().status == "pending"


def test_removed_with_its_deliveries(business, owner, endpoint):
    ping(endpoint, at=timezone.now())

    answer = owner.post(page("remove", endpoint.pk))

    assert answer["Location"] == page("changelist")
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()
    business.refresh_from_db()
    assert not business.has_webhooks


def failed(endpoint):
    delivery = ping(endpoint, at=timezone.now())
    delivery.status, delivery.attempts, delivery.answer_status = "failed", 3, 500
    delivery.save()
    return delivery


def test_a_delivery_is_sent_again(owner, endpoint):
    delivery = failed(endpoint)

    owner.post(page("resend", delivery.pk, model="webhookdelivery"))

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 0)


def test_marked_deliveries_are_sent_again(owner, endpoint):
    marked, left = failed(endpoint), failed(endpoint)

    owner.post(
        page("changelist", model="webhookdelivery"),
        {"action": "resend_marked", "_selected_action": [str(marked.pk)]},
    )

    assert set(WebhookDelivery.objects.values_list("pk", "status")) == {
        (marked.pk, "pending"),
        (left.pk, "failed"),
    }


def test_the_log_is_filtered_by_status_and_webhook(business, owner, endpoint):
    other = add_endpoint(business=business, url=URL + "/other", events=["coupon.issued"])[0]
    wanted, pending, elsewhere = failed(endpoint), ping(endpoint, at=timezone.now()), failed(other)

    def shown(query):
        answer = owner.get(page("changelist", model="webhookdelivery") + query)
        return {row.pk for row in answer.context["cl"].result_list}

    assert shown("") == {wanted.pk, pending.pk, elsewhere.pk}
    assert shown("?status__exact=failed") == {wanted.pk, elsewhere.pk}
    assert shown(f"?webhook={endpoint.pk}&status__exact=failed") == {wanted.pk}
    assert shown("?webhook=nonsense") == set()


@pytest.fixture
def theirs():
    return WebhookEndpoint.objects.create(
        business=BusinessFactory(), url="https://stranger.example.org/", events=["coupon.issued"],
        secret=encrypt("whsec_eA=="),
    )  # fmt: skip


def test_anothers_webhook_is_not_found_by_any_deed(owner, theirs):
    delivery = failed(theirs)

    for deed in DEEDS:
        assert owner.get(page(deed, theirs.pk)).status_code == 404, deed
        assert owner.post(page(deed, theirs.pk)).status_code == 404, deed
    assert owner.post(page("resend", delivery.pk, model="webhookdelivery")).status_code == 404
    log = owner.get(page("changelist", model="webhookdelivery") + f"?webhook={theirs.pk}")
    assert list(log.context["cl"].result_list) == []
    assert "stranger" not in log.content.decode()
    theirs.refresh_from_db()
    delivery.refresh_from_db()
    assert (theirs.status, delivery.status) == ("active", "failed")


def test_a_manager_may_and_a_cashier_may_not(business, endpoint):
    manager = browser_of(StaffFactory(business=business, role="manager").member)
    cashier = browser_of(StaffFactory(business=business, role="cashier").member)

    assert manager.get(page("change", endpoint.pk)).status_code == 200
    assert cashier.get(page("change", endpoint.pk)).status_code in (403, 404)
    for deed in DEEDS:
        assert cashier.post(page(deed, endpoint.pk)).status_code in (403, 404), deed
    endpoint.refresh_from_db()
    assert endpoint.status == "active"
