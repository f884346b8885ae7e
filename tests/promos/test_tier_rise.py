"""The purchase that reaches a tier lifts its member at once and still earns at the old rate."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from loyalty.models import Bonus, Member, TierChange
from promos.services.checkout import record_many, record_purchase, record_refund
from tests.factories import NOON, BusinessFactory, CouponFactory, give_bonuses
from tests.promos.requests import purchase, refund

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]
YEAR = timedelta(days=365)
# The end of the month 12 months after 15 June 2026, in Moscow.
HELD_UNTIL = datetime(2027, 6, 30, 21, 0, tzinfo=UTC)


def buy(member, business, external_id, amount, *, at=NOON, **fields):
    return record_purchase(purchase(member, business, external_id, amount, purchased_at=at, **fields), at=at)[
        0
    ]


def standing(member):
    member = Member.objects.select_related("status_tier").get(pk=member.pk)
    return member.status_tier.level, member.tier_valid_until


def steps(member):
    changes = TierChange.objects.filter(member=member).order_by("created_at", "id")
    return list(changes.values_list("from_level", "to_level", "turnover_rub", "transaction__external_id"))


def test_the_purchase_that_reaches_the_threshold_earns_at_the_old_rate(member, business):
    before = buy(member, business, "1", "29999.99")
    reaching = buy(member, business, "2", "0.01", at=NOON + timedelta(hours=1))
    after = buy(member, business, "3", "1000.00", at=NOON + timedelta(hours=2))

    assert [t.bonus_accrued for t in (before, reaching, after)] == [D("900.00"), D("0.00"), D("50.00")]
    assert [t.explanation["tier"]["level"] for t in (before, reaching, after)] == [1, 1, 2]
    [rise] = [rule for rule in reaching.explanation["rules"] if rule["rule"] == "tier_rise"]
    assert (rise["params"]["from_level"], rise["params"]["level"]) == (1, 2)
    assert standing(member) == (2, HELD_UNTIL)
    change = TierChange.objects.get()
    assert (change.reason, change.created_at) == ("rise", NOON + timedelta(hours=1))
    assert steps(member) == [(1, 2, D("30000.00"), "2")]


def test_one_purchase_may_rise_over_several_tiers(member, business):
    buy(member, business, "1", "300000.00")

    assert standing(member)[0] == 4
    assert steps(member) == [(1, 4, D("300000.00"), "1")]


def test_within_one_call_the_next_purchase_earns_at_the_new_rate(member, business):
    amounts = ["20000.00", "10000.00", "1000.00", "69000.00", "1000.00"]
    requests = [purchase(member, business, str(number), amount) for number, amount in enumerate(amounts)]

    outcomes = record_many(requests, at=NOON)

    assert [outcome.row.bonus_accrued for outcome in outcomes] == [
        D("600.00"), D("300.00"), D("50.00"), D("3450.00"), D("70.00"),
    ]  # fmt: skip
    assert steps(member) == [(1, 2, D("30000.00"), "1"), (2, 3, D("100000.00"), "3")]
    assert standing(member)[0] == 3


def test_what_is_paid_counts_and_not_what_was_asked(member, business):
    shop = BusinessFactory(requires_presence_code=False)
    coupon = CouponFactory(member=member, business=shop, benefit="fixed", benefit_value=D("1000.00"))
    give_bonuses(member, business, "1000.00")

    buy(member, shop, "1", "31999.99", coupon_code=coupon.code, redeem=D("1000.00"))
    below = standing(member)[0]
    buy(member, shop, "2", "0.01")

    assert (below, standing(member)[0]) == (1, 2)
    assert steps(member) == [(1, 2, D("30000.00"), "2")]


def test_turnover_is_of_twelve_months_and_net_of_refunds(member, business):
    buy(member, business, "old", "14999.00", at=NOON - YEAR)
    buy(member, business, "refunded", "15000.00", at=NOON - timedelta(days=9))
    record_refund(
        refund(business, "R", "refunded", "10000.00", purchased_at=NOON - timedelta(days=8)), at=NOON
    )

    buy(member, business, "almost", "24999.99")
    almost = standing(member)[0]
    buy(member, business, "reaching", "0.01")

    assert almost == 1
    assert steps(member) == [(1, 2, D("30000.00"), "reaching")]


def test_a_refund_lowers_nobody_at_once(member, business):
    buy(member, business, "1", "30000.00")

    record_refund(refund(business, "R", "1", "30000.00"), at=NOON + timedelta(days=1))

    assert standing(member) == (2, HELD_UNTIL)
    assert len(steps(member)) == 1


def test_a_purchase_recorded_late_is_measured_at_its_own_time(member, business):
    buy(member, business, "1", "20000.00", at=NOON)
    early = NOON - YEAR + timedelta(days=1)

    # In the year before it nothing was paid, so it reaches nothing itself; the next one does.
    record_purchase(purchase(member, business, "late", "15000.00", purchased_at=early), at=NOON)
    then = standing(member)[0]
    buy(member, business, "2", "0.01", at=NOON + timedelta(hours=1))

    assert (then, standing(member)[0]) == (1, 2)
    assert steps(member) == [(1, 2, D("35000.01"), "2")]


def test_a_purchase_recorded_late_that_reaches_the_threshold_lifts(member, business):
    buy(member, business, "1", "10000.00", at=NOON - timedelta(days=20))
    buy(member, business, "2", "10000.00", at=NOON - timedelta(days=10))

    late = purchase(member, business, "late", "20000.00", purchased_at=NOON - timedelta(days=15))
    record_purchase(late, at=NOON)

    assert steps(member) == [(1, 2, D("30000.00"), "late")]
    assert TierChange.objects.get().created_at == NOON - timedelta(days=15)


def test_a_purchase_recorded_late_counts_what_later_ones_do_not(member, business):
    buy(member, business, "old", "20000.00", at=NOON - timedelta(days=400))
    buy(member, business, "new", "12000.00")  # the year is added up: only this one is in it

    late = purchase(member, business, "late", "11000.00", purchased_at=NOON - timedelta(days=100))
    record_purchase(late, at=NOON)

    assert steps(member) == [(1, 2, D("31000.00"), "late")]


def added_up(queries):
    return sum("json_agg((amount_paid" in query["sql"] for query in queries)


@pytest.mark.usefixtures("spelled_out")
def test_the_year_is_added_up_only_when_it_may_reach_the_next_tier(member, business):
    def looked(external_id, amount, at):
        with CaptureQueriesContext(connection) as queries:
            buy(member, business, external_id, amount, at=at)
        return bool(added_up(queries))

    first, second = NOON - YEAR, NOON + timedelta(days=1)
    assert [looked("1", "20000.00", first), looked("2", "9999.99", first)] == [False, False]
    # The bound may only grow, so it asks once more than needed, and is exact again.
    assert looked("3", "5000.00", second)
    bonus = Bonus.objects.get()
    assert (bonus.turnover_bound, bonus.turnover_as_of) == (D("5000.00"), second)
    assert not looked("4", "24999.99", second)
    assert looked("5", "0.01", second)
    assert standing(member)[0] == 2


@pytest.mark.usefixtures("spelled_out")
def test_the_highest_tier_is_never_added_up_for(business, member):
    buy(member, business, "1", "300000.00")

    with CaptureQueriesContext(connection) as queries:
        buy(member, business, "2", "300000.00")

    assert added_up(queries) == 0
    assert len(steps(member)) == 1
