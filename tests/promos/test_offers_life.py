"""An offer is drafted, published, paused, resumed and ended; what is refused leaves nothing behind."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from loyalty.models import Business
from promos.errors import OfferRefused
from promos.models import Offer, OfferVersion
from promos.offers.rules import RuleFaults
from promos.services import offers
from promos.services.checkout import record_purchase
from promos.services.offers import Terms
from tests.factories import DOUBLE, NOON, BusinessFactory, publish_offer
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db
TERMS = {"title": "Чай", "conditions": {}, "effect": DOUBLE}
DISCOUNT = {"kind": "discount_fixed", "value": "10"}


@pytest.mark.parametrize(
    ("terms", "paths"),
    [
        ({"title": "  "}, ["title"]),
        ({"stacking": "sometimes"}, ["stacking"]),
        ({"priority": 1001}, ["priority"]),
        ({"per_member_limit": 0}, ["per_member_limit"]),
        ({"total_uses_limit": -1}, ["total_uses_limit"]),
        ({"total_bonus_limit": D("0.001")}, ["total_bonus_limit"]),
        ({"total_bonus_limit": D("NaN")}, ["total_bonus_limit"]),
        ({"effect": DISCOUNT, "total_bonus_limit": D("5")}, ["total_bonus_limit"]),
        ({"conditions": {"categories": ["шины"]}}, ["conditions.categories.0"]),
        ({"effect": {}, "title": ""}, ["effect.kind", "title"]),
    ],
)
def test_unsound_terms_are_refused_by_their_paths_and_nothing_is_saved(business, terms, paths):
    with pytest.raises(RuleFaults) as refused:
        offers.save_draft(Terms(**TERMS | terms), business=business)
    assert [path for path, _ in refused.value.faults] == paths
    assert not Offer.objects.exists()


def test_a_category_bought_here_before_is_known(member, business):
    record_purchase(purchase(member, business, category="чай"), at=NOON)
    terms = Terms(**TERMS | {"conditions": {"categories": ["чай"]}})
    assert offers.save_draft(terms, business=business).conditions == {"categories": ["чай"]}
    with pytest.raises(RuleFaults):
        offers.save_draft(terms, business=BusinessFactory())


def test_the_programme_has_no_offers_of_its_own():
    with pytest.raises(OfferRefused):
        offers.save_draft(Terms(**TERMS), business=Business.objects.get(is_programme=True))
    assert not Offer.objects.exists()


def test_another_business_cannot_touch_the_offer(business):
    offer = publish_offer(business)
    for step in (
        lambda **other: offers.pause(offer.pk, **other),
        lambda **other: offers.end(offer.pk, **other),
        lambda **other: offers.publish(offer.pk, at=NOON, **other),
        lambda **other: offers.save_draft(Terms(**TERMS), offer_id=offer.pk, **other),
    ):
        with pytest.raises(OfferRefused):
            step(business=BusinessFactory())
    offer.refresh_from_db()
    assert (offer.status, offer.version, offer.title) == ("published", 1, "Двойные бонусы")


def test_publishing_freezes_only_what_has_changed(business):
    offer = publish_offer(business)
    offers.publish(offer.pk, business=business, at=NOON)
    offers.save_draft(Terms(**TERMS, per_member_limit=1), business=business, offer_id=offer.pk)
    offers.publish(offer.pk, business=business, at=NOON)

    versions = OfferVersion.objects.filter(offer=offer).order_by("number")
    assert list(versions.values_list("number", "title", "per_member_limit")) == [
        (1, "Двойные бонусы", None), (2, "Чай", 1),
    ]  # fmt: skip


def test_a_resumed_offer_goes_on_with_its_last_version(business):
    offer = publish_offer(business)
    offers.save_draft(Terms(**TERMS), business=business, offer_id=offer.pk)
    offers.pause(offer.pk, business=business)

    resumed = offers.resume(offer.pk, business=business, at=NOON + timedelta(days=1))

    assert (resumed.status, resumed.version) == ("published", 1)
    assert resumed.live_since == NOON + timedelta(days=1)


def test_steps_that_the_state_does_not_allow_are_refused(business):
    offer = publish_offer(business)
    with pytest.raises(OfferRefused):
        offers.resume(offer.pk, business=business, at=NOON)
    offers.end(offer.pk, business=business)
    for step in (
        lambda: offers.publish(offer.pk, business=business, at=NOON),
        lambda: offers.pause(offer.pk, business=business),
        lambda: offers.resume(offer.pk, business=business, at=NOON),
        lambda: offers.save_draft(Terms(**TERMS), business=business, offer_id=offer.pk),
    ):
        with pytest.raises(OfferRefused):
            step()
    assert offers.end(offer.pk, business=business).status == "ended"


def test_a_limit_cannot_be_lowered_below_what_is_used(member, business):
    offer = publish_offer(business, total_bonus_limit=D("100.00"))
    record_purchase(purchase(member, business), at=NOON)
    offers.save_draft(Terms(**TERMS, total_bonus_limit=D("29.99")), business=business, offer_id=offer.pk)

    with pytest.raises(RuleFaults) as refused:
        offers.publish(offer.pk, business=business, at=NOON)

    assert refused.value.faults[0][0] == "total_bonus_limit"
    assert OfferVersion.objects.count() == 1
