"""What anybody may read: offers in force and partners."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.models import Business
from promos.models import Offer
from promos.services.offers import Terms, end, pause, publish, save_draft
from tests.factories import BusinessFactory

TWICE = {"kind": "multiplier", "value": "2"}


def published(business, title="Первый", conditions=None, effect=None, **limits):
    offer = save_draft(Terms(title, conditions or {}, effect or TWICE, **limits), business=business)
    return publish(offer.pk, business=business, at=timezone.now())


def titles(client):
    return [row["title"] for row in client.get("/api/v1/offers").json()["results"]]


def test_an_offer_in_force_is_told_in_words_and_numbers(client, business):
    offer = published(
        business, conditions={"tiers": [2, 3, 4], "segments": ["hibernating"], "min_amount": "500"}
    )

    [row] = client.get("/api/v1/offers", headers={"accept-language": "ru"}).json()["results"]

    assert row.pop("published_at")
    assert row == {
        "id": str(offer.pk), "version": 1, "title": "Первый", "kind": "multiplier", "value": "2",
        "business": {"id": str(business.pk), "name": business.name},
        "text": "При чеке от 500\u202f₽, для уровней 2 и выше, для некоторых участников, "
                "смотря как покупают: бонусы ×2",
        "starts_at": None, "ends_at": None, "tiers": [2, 3, 4], "min_amount": "500.00",
    }  # fmt: skip


def test_only_what_a_purchase_may_meet_now_is_there(client, business):
    at = timezone.now()
    save_draft(Terms("draft", {}, TWICE), business=business)
    pause(published(business, "paused").pk, business=business)
    end(published(business, "ended").pk, business=business)
    published(business, "over", {"until": (at - timedelta(days=1)).isoformat()})
    published(business, "to come", {"from": (at + timedelta(days=1)).isoformat()})
    spent = published(business, "spent", total_bonus_limit=D(10))
    used = published(business, "used up", total_uses_limit=3)
    Offer.objects.filter(pk=spent.pk).update(bonuses_given=10)
    Offer.objects.filter(pk=used.pk).update(uses_count=3)
    published(BusinessFactory(is_active=False), "closed shop")
    live = published(business, "live", {"until": (at + timedelta(days=1)).isoformat()})
    save_draft(Terms("edited, not published", {}, TWICE), business=business, offer_id=live.pk)

    assert titles(client) == ["live"]


def test_pages_are_followed_by_cursor_and_cost_the_same(client, business, django_assert_num_queries):
    for number in range(5):
        published(business, f"{number}")

    with django_assert_num_queries(1):
        first = client.get("/api/v1/offers?page_size=2").json()
    second = client.get(first["next"]).json()

    assert [row["title"] for row in first["results"] + second["results"]] == ["4", "3", "2", "1"]
    assert first["previous"] is None


def test_an_answer_that_has_not_changed_is_not_sent_again(client, business):
    published(business)
    first = client.get("/api/v1/offers")
    again = client.get("/api/v1/offers", headers={"if-none-match": first["ETag"]})
    published(business, "Второй")
    changed = client.get("/api/v1/offers", headers={"if-none-match": first["ETag"]})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert (changed.status_code, len(changed.json()["results"])) == (200, 2)
    assert first["Cache-Control"] == "public, max-age=60"
    assert "Accept-Language" in first["Vary"]


def test_partners_are_listed_without_what_is_their_own(client, business):
    BusinessFactory(is_active=False)
    Business.objects.filter(pk=business.pk).update(
        inn="7700000000", legal_name="ООО", address="ул. Лесная, 1"
    )

    [row] = client.get("/api/v1/businesses").json()["results"]

    assert row == {
        "id": str(business.pk), "name": business.name, "category": "", "address": "ул. Лесная, 1",
        "phone": "", "gives_bonuses": True, "takes_bonuses": True,
    }  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/offers", "/api/v1/businesses"])
@pytest.mark.parametrize("query", ["?cursor=no", "?page_size=0", "?page_size=201", "?colour=red"])
def test_a_wrong_address_is_named(client, path, query):
    answer = client.get(path + query)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.django_db
def test_a_spoilt_credential_does_not_matter(client):
    assert client.get("/api/v1/offers", headers={"authorization": "Bearer no"}).status_code == 200
