"""Owners build offers in the admin: what they type becomes a rule, and every fault stands at its field."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from loyalty.models import Business
from promos.models import Offer, OfferVersion
from promos.services.checkout import record_many
from promos.services.offers import Terms, end, publish, save_draft
from promos.services.purchases import PurchaseRequest
from tests.factories import MemberFactory, StaffFactory

ADD, LIST = reverse("admin:promos_offer_add"), reverse("admin:promos_offer_changelist")
PREVIEW = reverse("admin:promos_offer_preview")
TWICE = {"kind": "multiplier", "value": "2"}
DEEDS = ("publish", "pause", "resume", "end")
SOUND = {
    "title": "Счастливые часы", "kind": "multiplier", "value": "2", "stacking": "stackable", "priority": "0",
    "weekdays": ["1", "2", "3", "4", "5"], "hours_from": "14:00", "hours_until": "17:00",
    "tiers": ["2", "3", "4"], "coupon_valid_days": "14",
}  # fmt: skip


@pytest.fixture
def client():
    return Client(headers={"accept-language": "en"})


@pytest.fixture
def owner(db, client):
    staff = StaffFactory()
    client.force_login(staff.member)
    return staff


def form(owner, **changed):
    return {**SOUND, "business": str(owner.business.pk), **changed}


def drafted(business: Business, **terms) -> Offer:
    return save_draft(
        Terms("Первый", terms.pop("conditions", {}), terms.pop("effect", TWICE), **terms), business=business
    )


def page(name: str, offer: Offer) -> str:
    return reverse(f"admin:promos_offer_{name}", args=[offer.pk])


def bought(business: Business, **fields):
    at = timezone.now() - timedelta(hours=1)
    request = PurchaseRequest(business, "1", MemberFactory().pk, D("1000.00"), purchased_at=at, **fields)
    record_many([request], at=at)


def test_what_the_owner_types_becomes_a_rule(owner, client):
    bought(owner.business, category="чай")
    given = form(
        owner, starts_on="2030-06-01", ends_on="2030-06-30", min_amount="500", categories=["чай"],
        segments=["new"], first_purchase="on", birthday_days="7", per_member_limit="1",
        total_bonus_limit="900",
    )  # fmt: skip

    assert client.post(ADD, given).status_code == 302

    offer = Offer.objects.get()
    assert (offer.business, offer.status, offer.version) == (owner.business, "draft", 0)
    assert (offer.per_member_limit, offer.total_bonus_limit) == (1, D("900.00"))
    assert offer.effect == TWICE
    assert offer.conditions == {
        "from": "2030-06-01T00:00:00+03:00", "until": "2030-07-01T00:00:00+03:00",
        "weekdays": [1, 2, 3, 4, 5], "hours": {"from": "14:00", "until": "17:00"}, "min_amount": "500.00",
        "categories": ["чай"], "tiers": [2, 3, 4], "segments": ["new"], "first_purchase": True,
        "birthday_days": 7,
    }  # fmt: skip


def test_the_form_shows_again_what_was_saved_and_saving_it_changes_nothing(owner, client):
    bought(owner.business, category="чай")
    client.post(
        ADD, form(owner, ends_on="2030-06-30", categories=["чай"], birthday_days="0", min_amount="1.50")
    )
    offer = Offer.objects.get()

    shown = client.get(page("change", offer)).context["adminform"].form
    again = {name: shown.get_initial_for_field(field, name) for name, field in shown.fields.items()}
    given = {name: value for name, value in again.items() if value is not None and value is not False}
    answer = client.post(page("change", offer), given)
    assert answer.status_code == 302, answer.context["adminform"].form.errors

    kept = Offer.objects.get()
    assert (kept.conditions, kept.effect) == (offer.conditions, offer.effect)


@pytest.mark.parametrize(("changed", "field"), [
    ({"starts_on": "2030-06-30", "ends_on": "2030-06-01"}, "ends_on"),
    ({"starts_on": "31.31.2030"}, "starts_on"),
    ({"kind": "percent", "value": "101"}, "value"),
    ({"value": "0"}, "value"),
    ({"value": ""}, "value"),
    ({"value": "два"}, "value"),
    ({"categories": ["никогда не продавали"]}, "categories"),
    ({"hours_from": "14:00", "hours_until": "14:00"}, "hours_until"),
    ({"hours_from": "14:00", "hours_until": ""}, "hours_until"),
    ({"hours_from": "25:00"}, "hours_from"),
    ({"min_amount": "-5"}, "min_amount"),
    ({"birthday_days": "400"}, "birthday_days"),
    ({"tiers": ["9"]}, "tiers"),
    ({"weekdays": ["8"]}, "weekdays"),
    ({"segments": ["rich"]}, "segments"),
    ({"attended_event": "no"}, "attended_event"),
    ({"kind": "gold"}, "kind"),
    ({"kind": "coupon", "coupon_benefit": "percent", "coupon_value": "101"}, "coupon_value"),
    ({"kind": "coupon", "coupon_benefit": "gift", "coupon_text": ""}, "coupon_text"),
    ({"kind": "coupon", "coupon_benefit": "fixed", "coupon_value": "5", "coupon_valid_days": "0"},
     "coupon_valid_days"),
    ({"title": ""}, "title"),
    ({"business": "no"}, "business"),
    ({"priority": "9999"}, "priority"),
    ({"per_member_limit": "0"}, "per_member_limit"),
    ({"kind": "discount_percent", "value": "5", "total_bonus_limit": "10"}, "total_bonus_limit"),
])  # fmt: skip
def test_a_fault_stands_at_its_field_and_nothing_is_saved(owner, client, changed, field):
    answer = client.post(ADD, form(owner, **changed))

    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not Offer.objects.exists()


def test_preview_says_the_rule_in_both_languages_and_saves_nothing(owner, client):
    said = client.post(PREVIEW, form(owner), headers={"accept-language": "ru"}).content.decode()

    assert "По будням с 14 до 17, для уровней 2 и выше: бонусы ×2" in said
    assert "On weekdays 14–17, for tiers 2 and up: bonuses ×2" in said
    assert not Offer.objects.exists()


def test_preview_warns_of_what_can_never_hold_and_names_what_is_wrong(owner, client):
    never = form(owner, starts_on="2030-06-01", ends_on="2030-06-02")  # a Saturday and a Sunday
    wrong = form(owner, value="0")

    assert "never fall between" in client.post(PREVIEW, never).content.decode()
    assert "How much" in client.post(PREVIEW, wrong).content.decode()
    assert client.post(ADD, never).status_code == 302, "a warning does not refuse"


def test_preview_of_a_new_business_brings_its_categories(owner, client):
    StaffFactory(member=owner.member)
    bought(owner.business, category="чай")

    said = client.post(PREVIEW, form(owner), headers={"HX-Trigger-Name": "business"}).content.decode()

    assert 'value="чай"' in said


def test_life_of_an_offer_from_draft_to_end(owner, client):
    offer = drafted(owner.business)

    def state():
        offer.refresh_from_db()
        return offer.status, offer.version

    assert client.get(page("publish", offer)).status_code == 200
    assert state() == ("draft", 0)
    for deed, after in [("publish", ("published", 1)), ("pause", ("paused", 1)),
                        ("resume", ("published", 1)), ("end", ("ended", 1))]:  # fmt: skip
        assert client.post(page(deed, offer)).status_code == 302
        assert state() == after
    assert client.get(page("change", offer)).status_code == 200
    client.post(page("change", offer), form(owner))
    assert state() == ("ended", 1)
    assert Offer.objects.get().title == "Первый"


def test_an_edit_of_a_published_offer_waits_for_its_own_publishing(owner, client):
    offer = drafted(owner.business)
    publish(offer.pk, business=owner.business, at=timezone.now())

    client.post(page("change", offer), form(owner, title="Второй"))
    waiting = client.get(page("versions", offer))
    client.post(page("publish", offer))

    assert [row["number"] for row in waiting.context["versions"]] == [None, 1]
    changes = {
        row["name"]: (row["before"], row["after"]) for row in waiting.context["versions"][0]["changes"]
    }
    assert changes == {
        "Title": ("Первый", "Второй"),
        "Days and hours": ("—", "on weekdays 14–17"),
        "Tiers": ("—", "2, 3, 4"),
    }
    assert list(OfferVersion.objects.order_by("number").values_list("number", "title")) == [
        (1, "Первый"), (2, "Второй"),
    ]  # fmt: skip


@pytest.mark.parametrize("days", ["30", "90", "365", "no"])
def test_simulation_shows_numbers_and_changes_nothing(owner, client, days):
    bought(owner.business)
    offer = drafted(owner.business)

    shown = client.get(page("simulate", offer), {"days": days}).context

    assert shown["days"] == (90 if days == "no" else int(days))
    assert (shown["result"].total.purchases, shown["result"].total.bonuses) == (1, D("30.00"))
    assert Offer.objects.get().status == "draft"


def test_simulation_of_nothing_says_so(owner, client):
    offer = drafted(owner.business, conditions={"min_amount": "999999"})
    assert "nothing to try the offer on" in client.get(page("simulate", offer)).content.decode()

    bought(owner.business)
    assert "touched nobody" in client.get(page("simulate", offer)).content.decode()


def test_another_businesss_offer_is_nowhere(owner, client):
    stranger = StaffFactory()
    theirs = drafted(stranger.business)

    for name in ("change", "history", "simulate", "versions", *DEEDS):
        assert client.get(page(name, theirs)).status_code == 404, name
    for deed in DEEDS:
        assert client.post(page(deed, theirs)).status_code == 404, deed
    assert client.post(PREVIEW, form(owner, offer=str(theirs.pk))).status_code == 404
    assert list(client.get(LIST).context["cl"].result_list) == []
    taken = client.post(ADD, form(owner, business=str(stranger.business.pk)))
    assert list(taken.context["adminform"].form.errors) == ["business"]
    theirs.refresh_from_db()
    assert (theirs.status, Offer.objects.count()) == ("draft", 1)


def test_a_cashier_builds_nothing(client, db):
    cashier = StaffFactory(role="cashier")
    offer = drafted(cashier.business)
    client.force_login(cashier.member)

    assert client.get(ADD).status_code == 403
    assert client.post(PREVIEW, form(cashier)).status_code == 403
    assert client.get(page("simulate", offer)).status_code == 404
    assert client.post(page("publish", offer)).status_code == 404


def test_the_programme_draws_up_no_offer_for_itself(client, db):
    programme = StaffFactory(business=Business.objects.get(is_programme=True))
    client.force_login(programme.member)

    answer = client.post(ADD, form(programme))

    assert list(answer.context["adminform"].form.errors) == ["business"]


def test_an_offer_that_a_colleague_ended_meanwhile_is_not_saved(owner, client, monkeypatch):
    offer = drafted(owner.business)
    save = save_draft

    def too_late(*args, **kwargs):
        end(offer.pk, business=owner.business)
        return save(*args, **kwargs)

    monkeypatch.setattr("promos.services.offers.save_draft", too_late)
    answer = client.post(page("change", offer), form(owner), follow=True)

    assert "The offer has ended" in answer.content.decode()
    assert Offer.objects.get().title == "Первый"


def test_the_budget_meter_stands_in_the_list(owner, client):
    offer = drafted(owner.business, total_bonus_limit=D(1000))
    Offer.objects.filter(pk=offer.pk).update(bonuses_given=D(250))

    assert '<progress max="1000" value="250">' in client.get(LIST).content.decode()
