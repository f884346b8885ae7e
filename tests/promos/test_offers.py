"""Offers at the checkout: what they give, to whom, how often, and what a refund gives back."""

from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.models import Event, EventRegistration
from loyalty.models import Member
from promos.errors import QuoteChanged
from promos.models import Coupon, MemberSegment, Offer, OfferUse, OfferVersion
from promos.services import offers
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.quotes import make_quote
from tests.factories import DOUBLE, NOON, BusinessFactory, CouponFactory, MemberFactory, publish_offer
from tests.promos.requests import purchase, refund

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]

COUPON = {"kind": "coupon", "benefit": "fixed", "value": "200", "min_amount": "500.00", "valid_days": 14}


def buy(member, business, external_id="1001", amount="1000.00", **fields):
    return record_purchase(purchase(member, business, external_id, amount, **fields), at=NOON)[0]


def offer_rules(transaction):
    return [rule for rule in transaction.explanation["rules"] if rule["rule"] == "offer"]


def reason(transaction):
    [rule] = offer_rules(transaction)
    return rule["reason"]


@pytest.mark.parametrize(
    ("effect", "discount", "accrued"),
    [
        (DOUBLE, "0.00", "60.00"),
        ({"kind": "percent", "value": "5"}, "0.00", "80.00"),
        ({"kind": "fixed", "value": "50"}, "0.00", "80.00"),
        ({"kind": "discount_percent", "value": "10"}, "100.00", "27.00"),
        ({"kind": "discount_fixed", "value": "99.99"}, "99.99", "27.00"),
        ({"kind": "fixed", "value": "5000"}, "0.00", "500.00"),
    ],
)
def test_each_effect_gives_what_it_says(member, business, effect, discount, accrued):
    offer = publish_offer(business, effect)

    bought = buy(member, business)

    assert (bought.coupon_discount, bought.bonus_accrued) == (D(discount), D(accrued))
    [use] = OfferUse.objects.all()
    assert (use.offer, use.member, use.transaction, use.day) == (offer, member, bought, date(2026, 6, 15))
    offer.refresh_from_db()
    assert (offer.uses_count, offer.bonuses_given, offer.discount_given) == (1, use.bonuses, use.discount)
    assert use.bonuses == (bought.bonus_accrued - D("30.00") if not bought.coupon_discount else 0)


def test_an_offer_may_give_a_coupon_for_the_next_visit(member, business):
    offer = publish_offer(business, COUPON)

    bought = buy(member, business)

    [coupon] = Coupon.objects.all()
    assert (coupon.offer, coupon.issued_for, coupon.business) == (offer, bought, business)
    assert [one.code for one in bought.coupons_issued.all()] == [coupon.code]
    # 14 days, to the end of the last in Moscow.
    assert coupon.valid_until == NOON + timedelta(days=14, hours=12)
    later = NOON + timedelta(days=1)
    next_visit = purchase(member, business, "2", coupon_code=coupon.code, purchased_at=later)
    assert record_purchase(next_visit, at=later)[0].coupon_discount == D("200.00")


def test_lines_share_coupon_and_offers_to_the_kopeck(member, business):
    publish_offer(business, {"kind": "discount_percent", "value": "10"})
    publish_offer(business, DOUBLE)
    coupon = CouponFactory(member=member, business=business, benefit="fixed", benefit_value=D("50"))
    lines = [{"amount": "333.33"}, {"amount": "333.33"}, {"amount": "333.34"}]

    bought = buy(member, business, lines=lines, coupon_code=coupon.code)

    shares = bought.explanation["lines"]
    assert bought.coupon_discount == sum(D(share["coupon_discount"]) for share in shares) == D("150.00")
    assert bought.bonus_accrued == sum(D(share["bonus_accrued"]) for share in shares) == D("51.00")


# --- Whom it meets -----------------------------------------------------------------------------------


def test_offers_of_other_businesses_and_states_are_not_even_looked_at(member, business):
    publish_offer(BusinessFactory())
    paused, ended = publish_offer(business), publish_offer(business)
    offers.pause(paused.pk, business=business)
    offers.end(ended.pk, business=business)
    publish_offer(business, at=NOON + timedelta(seconds=1))
    publish_offer(business, conditions={"until": NOON.isoformat()})
    publish_offer(business, conditions={"from": (NOON + timedelta(seconds=1)).isoformat()})

    bought = buy(member, business)

    assert offer_rules(bought) == []
    assert bought.bonus_accrued == D("30.00")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"segments": ["champions", "new"]}, "segment: champions, new needed, loyal given"),
        ({"segments": ["loyal"]}, ""),
        ({"birthday_days": 7}, "birthday: 7 days around it needed"),
        ({"birthday_days": 10}, ""),
        ({"first_purchase": True}, ""),
        ({"tiers": [2]}, "tier: 2 needed, 1 given"),
        ({"hours": {"from": "11:00", "until": "12:01"}, "weekdays": [1]}, ""),
        ({"min_amount": "1000.01"}, "min_amount: 1000.01 needed, 1000.00 given"),
    ],
)
def test_conditions_are_met_or_the_failing_one_is_told(member, business, conditions, expected):
    MemberSegment.objects.create(member=member, segment="loyal", snapshot_date=date(2026, 6, 15))
    Member.objects.filter(pk=member.pk).update(birth_date=date(1990, 6, 25))
    publish_offer(business, conditions=conditions)

    bought = buy(member, business)

    assert reason(bought) == expected
    assert bought.bonus_accrued == (D("30.00") if expected else D("60.00"))
    call_command("replay_purchases")


def test_who_came_to_the_event_is_known(member, business):
    event = Event.objects.create(organiser=member, title="Дегустация", date=NOON, status="finished")
    publish_offer(business, conditions={"attended_event": str(event.pk)})
    registered, came = member, MemberFactory()
    for who, status in ((registered, "registered"), (came, "attended")):
        EventRegistration.objects.create(member=who, event=event, status=status)

    assert reason(buy(registered, business, "1")) == "attended_event: the member did not come to the event"
    assert reason(buy(came, business, "2")) == ""


def test_a_first_purchase_is_the_first_here_in_one_call_too(member, business):
    publish_offer(business, conditions={"first_purchase": True})
    buy(member, BusinessFactory(), "elsewhere")
    requests = [purchase(member, business, "a"), purchase(member, business, "b")]

    first, second = (outcome.row for outcome in record_many(requests, at=NOON))
    third = buy(member, business, "c")

    assert [row.bonus_accrued for row in (first, second, third)] == [D("60.00"), D("30.00"), D("30.00")]


# --- Limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("limit", "doubled"),
    [
        ({"per_member_limit": 2}, "1 1 0 0 1"),
        ({"per_member_day_limit": 1}, "1 0 0 1 1"),
        ({"total_uses_limit": 4}, "1 1 1 1 0"),
        ({"total_bonus_limit": D("60.00")}, "1 1 0 0 0"),
        ({"total_bonus_limit": D("89.99")}, "1 1 0 0 0"),
    ],
)
def test_limits_count_what_came_before_in_the_same_call_and_in_others(business, limit, doubled, together):
    publish_offer(business, **limit)
    anna, boris = MemberFactory(), MemberFactory()
    days = [NOON] * 3 + [NOON + timedelta(hours=12), NOON]
    requests = [
        purchase(member, business, str(number), purchased_at=at)
        for number, (member, at) in enumerate(zip([anna, anna, anna, anna, boris], days, strict=True))
    ]
    calls = [requests] if together else [[request] for request in requests]

    rows = [outcome.row for call in calls for outcome in record_many(call, at=NOON)]

    assert " ".join("1" if row.bonus_accrued == D("60.00") else "0" for row in rows) == doubled
    call_command("replay_purchases")


# --- Refunds -----------------------------------------------------------------------------------------


def test_a_full_refund_gives_the_use_back_and_a_part_of_it_does_not(member, business):
    offer = publish_offer(business, total_bonus_limit=D("30.00"))
    buy(member, business)

    record_refund(refund(business, "R1", "1001", "999.99"), at=NOON + timedelta(days=1))
    assert reason(buy(member, business, "2")) == "budget: all 30.00 given"

    record_refund(refund(business, "R2", "1001", "0.01"), at=NOON + timedelta(days=1))
    assert reason(buy(member, business, "3")) == ""
    offer.refresh_from_db()
    assert (offer.uses_count, offer.bonuses_given) == (1, D("30.00"))
    assert list(OfferUse.objects.order_by("pk").values_list("uses", "bonuses")) == [
        (1, D("30.00")), (-1, D("-30.00")), (1, D("30.00")),
    ]  # fmt: skip


def test_what_is_bought_and_refunded_in_one_call_uses_nothing(member, business):
    offer = publish_offer(business, COUPON, total_uses_limit=1)
    requests = [
        purchase(member, business, "a"), refund(business, "R", "a", "1000.00", purchased_at=NOON),
        purchase(member, business, "b"),
    ]  # fmt: skip

    record_many(requests, at=NOON)

    offer.refresh_from_db()
    assert offer.uses_count == 1
    assert sorted(Coupon.objects.values_list("status", flat=True)) == ["issued", "voided"]


@pytest.mark.parametrize(("redeemed", "uses", "status"), [(False, 0, "voided"), (True, 1, "redeemed")])
def test_a_full_refund_voids_the_coupon_unless_it_was_redeemed(member, business, redeemed, uses, status):
    offer = publish_offer(business, COUPON, per_member_limit=1)
    buy(member, business)
    coupon = Coupon.objects.get()
    if redeemed:
        buy(member, business, "2", coupon_code=coupon.code)

    record_refund(refund(business, "R", "1001", "1000.00"), at=NOON + timedelta(days=1))

    offer.refresh_from_db()
    coupon.refresh_from_db()
    assert (offer.uses_count, coupon.status) == (uses, status)


def test_a_refund_returns_the_offers_discount_pro_rata(member, business):
    publish_offer(business, {"kind": "discount_percent", "value": "10"})
    buy(member, business)

    back, _ = record_refund(refund(business, "R", "1001", "500.00"), at=NOON + timedelta(days=1))

    assert (back.coupon_discount, back.amount_paid, back.bonus_accrued) == (
        D("-50.00"), D("-450.00"), D("-13.50"),
    )  # fmt: skip


# --- Promises ----------------------------------------------------------------------------------------


def test_a_quote_promises_the_same_and_an_offer_that_ended_breaks_it(member, business):
    offer = publish_offer(business, total_uses_limit=5)
    request = purchase(member, business)
    quoted = make_quote(request, hold=False, at=NOON)
    assert quoted.row.bonus_accrued == D("60.00")
    assert [rule["applied"] for rule in quoted.row.explanation["rules"] if rule["rule"] == "offer"] == [True]
    assert not OfferUse.objects.exists()

    offers.end(offer.pk, business=business)

    with pytest.raises(QuoteChanged, match=r"bonus_accrued: 60\.00 → 30\.00"):
        buy(member, business, quote_id=quoted.quote.pk)


def test_a_quote_issues_no_coupon(member, business):
    publish_offer(business, COUPON)
    make_quote(purchase(member, business), hold=True, at=NOON)
    assert not Coupon.objects.exists()


# --- Versions ----------------------------------------------------------------------------------------


def test_later_edits_meet_purchases_only_when_they_are_published(member, business):
    offer = publish_offer(business)
    terms = offers.Terms(title="Тройные", conditions={}, effect={"kind": "multiplier", "value": "3"})
    offers.save_draft(terms, business=business, offer_id=offer.pk)

    first = buy(member, business, "1")
    offers.publish(offer.pk, business=business, at=NOON)
    second = buy(member, business, "2")

    rules = offer_rules(first) + offer_rules(second)
    told = [(rule["params"]["version"], rule["params"]["title"]) for rule in rules]
    assert told == [(1, "Двойные бонусы"), (2, "Тройные")]
    assert (first.bonus_accrued, second.bonus_accrued) == (D("60.00"), D("90.00"))
    call_command("replay_purchases")


# --- Cost --------------------------------------------------------------------------------------------


def asked(work):
    with CaptureQueriesContext(connection) as queries:
        work()
    return len(queries)


def copy_offer(offer, times):
    terms = OfferVersion.objects.filter(offer=offer).values(*offers.TERMS, "number").get()
    copies = Offer.objects.bulk_create(
        Offer(business=offer.business, status="published", version=1, live_since=offer.live_since,
              **{name: getattr(offer, name) for name in offers.TERMS})
        for _ in range(times)
    )  # fmt: skip
    OfferVersion.objects.bulk_create(OfferVersion(offer=copy, **terms) for copy in copies)


def test_a_purchase_costs_as_many_statements_with_one_offer_as_with_a_thousand(member, business):
    everything = {
        "segments": ["loyal"], "birthday_days": 3, "first_purchase": True,
        "attended_event": "0197a0c0-0000-7000-8000-000000000001",
    }  # fmt: skip
    publish_offer(business, conditions=everything, total_uses_limit=5, per_member_limit=1)
    one = asked(lambda: buy(member, business, "1"))
    other = BusinessFactory()
    for crowded in (other, *(BusinessFactory() for _ in range(9))):
        copy_offer(publish_offer(crowded), 99)
    for _ in range(20):
        publish_offer(business, conditions=everything, total_uses_limit=5, per_member_limit=1)

    assert asked(lambda: buy(member, business, "2")) == one
    # Members, what the offers ask, the writes, and what frames a test's transaction.
    plain = asked(lambda: buy(member, other, "3"))
    assert one - plain == 1


def test_a_plain_business_asks_nothing_of_offers(member, business):
    before = asked(lambda: buy(member, business, "1"))
    publish_offer(BusinessFactory(), conditions={"first_purchase": True})
    assert asked(lambda: buy(member, business, "2")) == before
