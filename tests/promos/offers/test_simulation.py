"""The simulation of an offer comes to what recording the same purchases with it comes to."""

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db.models import Count, Sum
from django.db.transaction import atomic, set_rollback

from loyalty.models import Member, StatusTier, Transaction
from promos.demo.sample import SAMPLE
from promos.models import MemberSegment, OfferUse
from promos.offers.decision import Limits
from promos.offers.rules import parse
from promos.offers.simulation import simulate
from promos.services.checkout import record_many
from promos.services.offers import Terms, publish, save_draft
from promos.services.purchases import PurchaseRequest
from promos.services.replay import replay_purchases
from tests.factories import NOON, BusinessFactory, CouponFactory, MemberFactory
from tests.promos.requests import purchase
from tests.shared_data import SHARED_DATA

REAL = SHARED_DATA / "purchases-uci.csv.gz"
ROWS = 3000
TWICE = {"kind": "multiplier", "value": "2"}
# One rule for each of the sample's twenty businesses that sell enough, so that one run proves them all.
BONUSES = {
    "B02": ({}, TWICE, {}),
    "B03": ({"weekdays": [1, 2, 3, 4, 5], "hours": {"from": "14:00", "until": "17:00"}}, TWICE, {}),
    "B04": ({"hours": {"from": "17:00", "until": "12:30"}}, {"kind": "percent", "value": "7.5"}, {}),
    "B05": ({"min_amount": "500.00", "tiers": [2, 3, 4]}, TWICE, {}),
    "B06": ({"first_purchase": True}, {"kind": "fixed", "value": "50"}, {}),
    "B08": ({"segments": ["champions", "new"]}, {"kind": "percent", "value": "3.33"}, {}),
    "B09": ({"birthday_days": 20}, {"kind": "multiplier", "value": "1.5"}, {}),
    "B10": ({}, {"kind": "percent", "value": "60"}, {}),
    "B12": ({}, TWICE, {"per_member_limit": 2}),
    "B15": ({}, TWICE, {"per_member_day_limit": 1, "total_uses_limit": 40}),
    "B16": ({}, TWICE, {"total_bonus_limit": D("1500.00")}),
    "B20": ({"min_amount": "1000.00"}, TWICE, {"per_member_limit": 1, "total_bonus_limit": D("900.00")}),
}
DISCOUNTS = {
    "B02": ({}, {"kind": "discount_percent", "value": "12.5"}, {}),
    "B05": ({"weekdays": [3, 4]}, {"kind": "discount_fixed", "value": "7.77"}, {"per_member_limit": 3}),
    "B20": ({}, {"kind": "discount_fixed", "value": "20"}, {"total_uses_limit": 60}),
}


def real_rows():
    path = REAL if REAL.is_file() else SAMPLE
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        purchases = (row for row in csv.DictReader(lines) if row["kind"] == "purchase")
        return [row for row, _number in zip(purchases, range(ROWS), strict=False)]


def real_purchases(times: int) -> tuple[list[PurchaseRequest], dict]:
    """The first real purchases, their sums multiplied: with a hundred all tiers are reached."""
    rows, born = real_rows(), date(1980, 12, 5)
    tier = StatusTier.objects.get(level=1)
    refs = sorted({row["member_ref"] for row in rows})
    members = Member.objects.bulk_create(
        MemberFactory.build(
            card_number=ref, phone=f"+7911{n:07}", status_tier=tier,
            birth_date=born + timedelta(days=n % 60) if n % 3 else None,
        )
        for n, ref in enumerate(refs)
    )  # fmt: skip
    names = ["champions", "new", "loyal"]
    MemberSegment.objects.bulk_create(
        MemberSegment(member=member, segment=names[n % 3], snapshot_date=date(2009, 11, 30))
        for n, member in enumerate(members)
        if n % 4
    )
    by_card = {member.card_number: member.pk for member in members}
    shops = {f"B{n:02}": BusinessFactory(code=f"B{n:02}", point_price_rub=D("0.80")) for n in range(1, 21)}
    requests = [
        PurchaseRequest(
            shops[row["business_ref"]], row["external_id"], by_card[row["member_ref"]],
            D(row["amount"]) * times, category=row["category"],
            purchased_at=datetime.fromisoformat(row["purchased_at"]).astimezone(UTC),
        )
        for row in rows
    ]  # fmt: skip
    return requests, shops


def recorded(requests):
    at = requests[-1].purchased_at + timedelta(hours=1)
    outcomes = [
        outcome for n in range(0, len(requests), 500) for outcome in record_many(requests[n : n + 500], at=at)
    ]
    assert {str(outcome.status) for outcome in outcomes} == {"created"}
    return at, dict(Transaction.objects.values_list("external_id", "bonus_accrued"))


def simulated_and_run(times, offers):
    """Return by business what was simulated, what the offers gave, and the change of all bonuses."""
    requests, shops = real_purchases(times)
    with atomic():
        at, before = recorded(requests)
        simulated = {
            code: simulate(
                parse(conditions, effect), business_id=shops[code].pk, price=D("0.80"), at=at, days=365,
                limits=Limits(
                    limits.get("per_member_limit"), limits.get("per_member_day_limit"),
                    limits.get("total_uses_limit"), limits.get("total_bonus_limit"),
                ),
            )
            for code, (conditions, effect, limits) in offers.items()
        }  # fmt: skip
        set_rollback(True)
    Transaction.objects.all()  # the rolled-back run left nothing
    for code, (conditions, effect, limits) in offers.items():
        # A category, a segment, an event are looked for among what is stored; conditions here name none such.
        drafted = save_draft(Terms(code, conditions, effect, **limits), business=shops[code])
        publish(drafted.pk, business=shops[code], at=requests[0].purchased_at - timedelta(days=1))
    _at, after = recorded(requests)
    uses = OfferUse.objects.values("offer__business__code").annotate(
        purchases=Count("pk"),
        members=Count("member", distinct=True),
        given=Sum("bonuses"),
        off=Sum("discount"),
    )
    change = dict.fromkeys(offers, D(0))
    for request in requests:
        if request.business.code in change:
            change[request.business.code] += after[request.external_id] - before[request.external_id]
    return simulated, {use["offer__business__code"]: use for use in uses}, change


@pytest.mark.django_db
def test_bonuses_of_real_purchases_are_exactly_what_the_published_offers_give():
    simulated, given, change = simulated_and_run(100, BONUSES)

    for code, result in simulated.items():
        total, use = result.total, given[code]
        assert (total.purchases, total.members) == (use["purchases"], use["members"]), code
        assert (total.bonuses, total.discount) == (use["given"], D("0.00")), code
        assert total.bonuses == change[code], code
        assert result.cost_rub == (total.bonuses * D("0.80")).quantize(D("0.01")), code
        assert sum(sums.purchases for sums in result.tiers.values()) == total.purchases
        assert sum(sums.bonuses for sums in result.weeks.values()) == total.bonuses
    [*_, replayed] = replay_purchases()
    assert (replayed.replayed, replayed.differences) == (ROWS, [])
    # The sample is no idle one: limits bind, tiers differ.
    assert simulated["B12"].total.purchases < simulated["B12"].looked_at
    assert D(1400) < simulated["B16"].total.bonuses <= D(1500)
    assert simulated["B15"].total.purchases == 40
    assert len(simulated["B02"].tiers) == 4


@pytest.mark.django_db
def test_discounts_of_real_purchases_are_exactly_what_the_published_offers_give():
    # In pounds nobody rises, so no discount delays a rise: what the page says it cannot tell.
    simulated, given, change = simulated_and_run(1, DISCOUNTS)

    for code, result in simulated.items():
        total, use = result.total, given[code]
        assert (total.purchases, total.members) == (use["purchases"], use["members"]), code
        assert (total.discount, use["given"]) == (use["off"], D("0.00")), code
        assert total.bonuses == change[code] < 0, code


@pytest.mark.django_db
def test_a_coupons_multiplier_takes_its_part_of_what_both_bring(member, business):
    coupon = CouponFactory(member=member, business=business, benefit="multiplier", benefit_value=D("1.7"))
    bill = purchase(member, business, amount="333.33", coupon_code=coupon.code)
    rule = {"kind": "percent", "value": "4.44"}
    with atomic():
        assert record_many([bill], at=NOON)[0].row
        result = simulate(
            parse({}, rule), business_id=business.pk, price=D(1), at=NOON + timedelta(1), days=30
        )
        set_rollback(True)
    drafted = save_draft(Terms("x", {}, rule), business=business)
    publish(drafted.pk, business=business, at=NOON - timedelta(days=1))

    record_many([bill], at=NOON)

    assert result.total.bonuses == OfferUse.objects.get().bonuses


@pytest.mark.django_db
def test_only_own_purchases_of_the_period_are_looked_at(member, business):
    far = NOON - timedelta(days=40)
    record_many([
        purchase(member, business, "old", purchased_at=far),
        purchase(member, business, "new", purchased_at=NOON - timedelta(days=29)),
        purchase(member, BusinessFactory(), "other"),
    ], at=NOON)  # fmt: skip

    result = simulate(parse({}, TWICE), business_id=business.pk, price=D(1), at=NOON, days=30)

    assert (result.looked_at, result.buyers) == (1, 1)
    assert (result.total.purchases, result.total.bonuses) == (1, D("30.00"))
    assert (result.first_day, result.last_day, result.days) == (date(2026, 5, 17), date(2026, 6, 15), 30)
    assert len(result.weeks) == 6


@pytest.mark.django_db
def test_dates_to_come_are_left_aside(member, business):
    record_many([purchase(member, business)], at=NOON)
    rule = parse({"from": "2030-01-01T00:00:00+03:00"}, TWICE)

    result = simulate(rule, business_id=business.pk, price=D(1), at=NOON + timedelta(hours=1), days=30)

    assert result.total.purchases == 1
