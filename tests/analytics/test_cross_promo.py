"""The matrix's numbers: what the assignments say, however often they are counted."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.clickhouse.client import Connection
from analytics.comparison import Arm, Outcome
from analytics.errors import SwapRefused
from analytics.selectors import MatrixCell, summary, win_win_matrix
from analytics.services import cross_promo
from analytics.services.cross_promo import Aggregated, aggregate_cross_promo
from analytics.services.sync import sync_facts
from loyalty.models import Transaction
from promos.models import ChainAssignment, CrossPromoChain
from tests.analytics.rows import cost_share, purchase, refund
from tests.factories import BusinessFactory, ChainFactory, CouponFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
# Half past midnight on the 1st of a month in Moscow, the month before in UTC; long enough ago for every
# visit to have been counted.
LONG_AGO = timezone.localtime(NOW).replace(day=1, hour=0, minute=30, second=0, microsecond=0)
AT = (LONG_AGO - timedelta(days=35)).replace(day=1)
MONTH = int(f"{AT:%Y%m}")
START, END = AT.date(), AT.date() + timedelta(days=1)


@pytest.fixture
def chain(transactional_db: None) -> CrossPromoChain:
    return ChainFactory(attribution_days=30)


def assign(
    chain: CrossPromoChain, arm: str, *, at: datetime = AT, converted: bool = False, then: Any = ()
) -> tuple[ChainAssignment, list[Transaction]]:
    """A trigger; `then` are purchases at the target as (amount, days later, discount by the coupon); the
    first one converts."""
    member = MemberFactory()
    trigger = purchase(member, chain.source_business, "1000.00", at=at)
    coupon = None
    if arm == "treatment":
        coupon = CouponFactory(member=member, business=chain.target_business, chain=chain)
    visits = [
        purchase(
            member,
            chain.target_business,
            amount,
            at=at + timedelta(days=days),
            coupon=coupon if discount else None,
            discount=(*discount, "0.00")[0],
        )
        for amount, days, *discount in then
    ]
    assignment = ChainAssignment.objects.create(
        chain=chain, member=member, trigger=trigger, arm=arm, coupon=coupon, created_at=at,
        converted=visits[0] if converted else None,
    )  # fmt: skip
    return assignment, visits


def cells(business_ids: Any = None) -> tuple[MatrixCell, ...]:
    return win_win_matrix(business_ids, start=START, end=END)


def test_a_cell_counts_triggers_conversions_visits_and_revenue_of_both_arms(clickhouse, chain):
    _, [redeemed, _] = assign(
        chain, "treatment", converted=True, then=[("300.00", 2, "65.05"), ("50.50", 30)]
    )
    # Of the bill's discounts, 20 ₽ are an offer's; a part of the rest has come back with a refund.
    back = refund(redeemed, "20.00", at=redeemed.created_at + timedelta(days=60))
    cost_share(chain, redeemed, discount="45.05", owed="13.52", at=AT).save()
    cost_share(chain, back, discount="-3.00", owed="-0.90", at=AT).save()
    _, [late] = assign(chain, "treatment", then=[("70.00", 31, "10.00")])
    cost_share(chain, late, discount="10.00", owed="3.00", at=AT).save()
    other = cost_share(ChainFactory(), purchase(late.member, chain.target_business, "1.00", at=AT),
                       discount="0.50", owed="0.50", at=AT)  # fmt: skip
    other.save()
    _, [returned] = assign(chain, "treatment", then=[("80.00", 3)])
    refund(returned, "80.00", at=returned.created_at)
    _, [partly] = assign(chain, "control", then=[("90.00", 1)])
    refund(partly, "15.00", at=partly.created_at + timedelta(days=1))
    assign(chain, "control")
    assign(chain, "skipped", then=[("500.00", 1)])

    assert aggregate_cross_promo(at=NOW) == Aggregated(assignments=5, months=(MONTH,))

    treated = Arm(3, 1, Decimal("330.50"), Decimal("109230.2500"))
    control = Arm(2, 1, Decimal("75.00"), Decimal("5625.0000"))
    # The discount of the 31st day belongs to no visit that counts.
    outcome = Outcome(treated, control, Decimal("42.05"), Decimal("12.62"))
    [cell] = cells()
    assert (cell.source_id, cell.target_id) == (chain.source_business_id, chain.target_business_id)
    assert [(each.chain_id, each.outcome) for each in cell.chains] == [(chain.pk, outcome)]
    assert (cell.triggers, cell.conversions, cell.rate) == (3, 1, 1 / 3)
    rows = clickhouse.run("SELECT date, conversion_rate FROM cross_promo_conversions").rows
    assert [(day, round(rate, 4)) for day, rate in rows] == [(AT.date(), 0.3333)]


def test_a_member_counts_once_at_the_first_trigger_that_drew_an_arm(clickhouse, chain):
    first, _ = assign(chain, "treatment", then=[("300.00", 2)])
    for days in (-1, 5, 9):
        again = purchase(first.member, chain.source_business, "9.00", at=AT + timedelta(days=days))
        ChainAssignment.objects.create(
            chain=chain, member=first.member, trigger=again, created_at=again.created_at,
            arm="skipped" if days < 0 else "treatment",
        )  # fmt: skip
    aggregate_cross_promo(at=NOW)

    [cell] = win_win_matrix(None, start=START - timedelta(days=9), end=END + timedelta(days=20))
    [of_chain] = cell.chains
    assert of_chain.outcome.treated == Arm(1, 1, Decimal("300.00"), Decimal("90000.0000"))
    # The later triggers are dated within this span, and still count nobody.
    assert sum(
        each.chains[0].outcome.treated.members
        for each in win_win_matrix(None, start=END, end=END + timedelta(days=20))
    ) == 0  # fmt: skip


def test_a_member_whose_time_is_not_over_is_open_and_in_neither_arm(clickhouse, chain):
    assign(chain, "treatment", then=[("300.00", 2)])
    assign(chain, "control")
    closes = AT + timedelta(days=30)

    aggregate_cross_promo(at=closes - timedelta(seconds=1))
    assert cells()[0].chains[0].outcome == Outcome(Arm(), Arm(), still_open=2)

    aggregate_cross_promo(at=closes)
    outcome = cells()[0].chains[0].outcome
    assert (outcome.treated.members, outcome.control.members, outcome.still_open) == (1, 1, 0)


def test_two_chains_of_a_pair_are_not_added_up(clickhouse, chain):
    other = ChainFactory(source_business=chain.source_business, target_business=chain.target_business)
    for each, number in ((chain, 1), (other, 2)):
        for _ in range(number):
            assign(each, "treatment")
            assign(each, "control")
    aggregate_cross_promo(at=NOW)

    [cell] = cells()

    assert {each.chain_id: each.outcome.treated.members for each in cell.chains} == {chain.pk: 1, other.pk: 2}
    assert (cell.triggers, cell.best_known.control.members) == (3, 2)


def test_counting_again_changes_nothing(clickhouse, chain):
    assign(chain, "treatment", converted=True, then=[("300.00", 2)])
    aggregate_cross_promo(at=NOW)
    before = cells()

    assert aggregate_cross_promo(at=NOW) == Aggregated(assignments=1, months=())
    assert cells() == before


def test_only_the_month_that_changed_is_swapped(clickhouse, chain):
    earlier = AT - timedelta(days=100)
    old, [visit] = assign(chain, "treatment", at=earlier, converted=True, then=[("300.00", 2)])
    assign(chain, "treatment")
    aggregate_cross_promo(at=NOW)
    # A full refund of months ago undoes the conversion.
    refund(visit, "300.00", at=NOW)
    ChainAssignment.objects.filter(pk=old.pk).update(converted=None)

    assert aggregate_cross_promo(at=NOW).months == (int(f"{earlier:%Y%m}"),)

    [cell] = win_win_matrix(None, start=earlier.date(), end=earlier.date() + timedelta(days=1))
    assert (cell.triggers, cell.conversions, cell.chains[0].outcome.treated.visits) == (1, 0, 0)


def stored_rows(clickhouse: Connection) -> int:
    return clickhouse.run("SELECT count() FROM cross_promo_conversions").rows[0][0]


def test_an_empty_staging_never_empties_the_matrix(clickhouse, chain, monkeypatch):
    assign(chain, "treatment")
    aggregate_cross_promo(at=NOW)
    query = cross_promo.read_query
    monkeypatch.setattr(
        cross_promo,
        "read_query",
        lambda name, **parts: query(name, **parts) + (" HAVING 0" if name == "cross_promo_fill" else ""),
    )

    with pytest.raises(SwapRefused, match="0 assignments were rebuilt, PostgreSQL holds 1 to 1"):
        aggregate_cross_promo(at=NOW)

    assert stored_rows(clickhouse) == 1
    clickhouse.run("DROP TABLE cross_promo_conversions_staging")


def test_a_month_that_postgresql_says_is_empty_is_dropped(clickhouse, chain):
    assign(chain, "treatment")
    aggregate_cross_promo(at=NOW)
    ChainAssignment.objects.all().delete()

    assert aggregate_cross_promo(at=NOW) == Aggregated(assignments=0, months=(MONTH,))
    assert stored_rows(clickhouse) == 0


def test_an_owner_sees_the_pairs_of_the_own_business(clickhouse, chain):
    other = ChainFactory()
    assign(chain, "treatment")
    assign(other, "treatment")
    aggregate_cross_promo(at=NOW)

    pair = (chain.source_business_id, chain.target_business_id)
    for mine in pair:
        assert [(cell.source_id, cell.target_id) for cell in cells([mine])] == [pair]
    assert len(cells()) == 2
    assert cells([BusinessFactory().pk]) == ()
    assert cells([]) == ()


def test_the_summary_is_net_of_refunds_and_within_scope(clickhouse, chain):
    first, second = BusinessFactory(), BusinessFactory()
    member = MemberFactory()
    bought = purchase(member, first, "100.00", at=AT)
    purchase(member, first, "50.00", at=AT)
    refund(bought, "30.00", at=AT + timedelta(hours=1))
    purchase(MemberFactory(), second, "7.00", at=AT)
    purchase(MemberFactory(), first, "9.00", at=AT - timedelta(hours=1))
    sync_facts()

    own = summary([first.pk], start=START, end=END)

    assert (own.turnover_rub, own.purchases, own.refunds, own.buyers) == (Decimal("120.00"), 2, 1, 1)
    assert own.bonus_accrued == Decimal("7.00")
    assert summary(None, start=START, end=END).turnover_rub == Decimal("127.00")
    assert summary([], start=START, end=END).purchases == 0
