"""The matrix's numbers: what the assignments say, however often they are counted."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.clickhouse.client import Connection
from analytics.errors import SwapRefused
from analytics.selectors import MatrixCell, summary, win_win_matrix
from analytics.services import cross_promo
from analytics.services.cross_promo import Aggregated, aggregate_cross_promo
from analytics.services.sync import sync_facts
from loyalty.models import Transaction
from promos.models import ChainAssignment, CrossPromoChain
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, ChainFactory, CouponFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
# Half past midnight on the 1st of last month in Moscow: the month before in UTC.
AT = (timezone.localtime(NOW).replace(day=1) - timedelta(days=1)).replace(day=1, hour=0, minute=30, second=0)
MONTH = int(f"{AT:%Y%m}")
START, END = AT.date(), AT.date() + timedelta(days=1)


@pytest.fixture
def chain(transactional_db: None) -> CrossPromoChain:
    return ChainFactory(attribution_days=30)


def assign(
    chain: CrossPromoChain, arm: str, *, at: datetime = AT, converted: bool = False, then: Any = ()
) -> tuple[ChainAssignment, list[Transaction]]:
    """A trigger; `then` are purchases at the target as (amount, days later); the first one converts."""
    member = MemberFactory()
    trigger = purchase(member, chain.source_business, "1000.00", at=at)
    coupon = None
    if arm == "treatment":
        coupon = CouponFactory(member=member, business=chain.target_business, chain=chain)
    visits = [
        purchase(member, chain.target_business, amount, at=at + timedelta(days=days)) for amount, days in then
    ]
    assignment = ChainAssignment.objects.create(
        chain=chain, member=member, trigger=trigger, arm=arm, coupon=coupon, created_at=at,
        converted=visits[0] if converted else None,
    )  # fmt: skip
    return assignment, visits


def cells(business_ids: Any = None) -> tuple[MatrixCell, ...]:
    return win_win_matrix(business_ids, start=START, end=END)


def test_a_cell_counts_triggers_conversions_visits_and_revenue_of_both_arms(clickhouse, chain):
    assign(chain, "treatment", converted=True, then=[("300.00", 2), ("50.50", 30)])
    assign(chain, "treatment", then=[("70.00", 31)])
    _, [returned] = assign(chain, "treatment", then=[("80.00", 3)])
    refund(returned, "80.00", at=returned.created_at)
    _, [partly] = assign(chain, "control", then=[("90.00", 1)])
    refund(partly, "15.00", at=partly.created_at + timedelta(days=1))
    assign(chain, "control")
    assign(chain, "skipped", then=[("500.00", 1)])

    assert aggregate_cross_promo(at=NOW) == Aggregated(assignments=5, months=(MONTH,))

    assert cells() == (
        MatrixCell(
            chain.source_business_id, chain.target_business_id, triggers=3, conversions=1,
            treated=3, treated_visits=1, control=2, control_visits=1,
            treated_revenue_rub=Decimal("350.50"), control_revenue_rub=Decimal("75.00"),
        ),
    )  # fmt: skip
    assert cells()[0].rate == 1 / 3
    rows = clickhouse.run("SELECT date, conversion_rate FROM cross_promo_conversions").rows
    assert [(day, round(rate, 4)) for day, rate in rows] == [(AT.date(), 0.3333)]


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
    assert (cell.triggers, cell.conversions, cell.treated_visits) == (1, 0, 0)


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
