"""The matrix of packaged real purchases equals a count by plain Python over PostgreSQL's rows."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.utils import timezone

from analytics.comparison import Arm, Outcome
from analytics.selectors import win_win_matrix
from analytics.services.cross_promo import aggregate_cross_promo
from loyalty.models import Transaction
from promos.demo import sample
from promos.management.commands import demo
from promos.models import ChainAssignment, CrossPromoChain
from svoykrug.money import KOPECK

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def outcome_of(chain: CrossPromoChain, *, at: Any) -> Outcome:
    """Count the chain's arms with nothing but loops."""
    rows = Transaction.objects.filter(business_id=chain.target_business_id)
    refunds: dict[UUID, list[Transaction]] = defaultdict(list)
    purchases: dict[UUID, list[Transaction]] = defaultdict(list)
    costs = {cost.transaction_id: cost for cost in chain.cost_shares.all()}
    for row in rows:
        if row.kind == "refund":
            refunds[row.refund_of_id].append(row)
        else:
            purchases[row.member_id].append(row)
    firsts: dict[UUID, ChainAssignment] = {}
    for each in sorted(chain.assignments.exclude(arm="skipped"), key=lambda a: (a.created_at, a.pk)):
        firsts.setdefault(each.member_id, each)
    arms: dict[str, list[Decimal]] = {"treatment": [], "control": []}
    discount = covered = Decimal("0.00")
    still_open = 0
    for member_id, first in firsts.items():
        closes = first.created_at + timedelta(days=chain.attribution_days)
        if closes > at:
            still_open += 1
            continue
        revenue = Decimal("0.00")
        for bought in purchases[member_id]:
            if not first.created_at < bought.created_at <= closes:
                continue
            revenue += bought.amount + sum(back.amount for back in refunds[bought.pk])
            for row in (bought, *refunds[bought.pk]):
                discount += costs[row.pk].discount if row.pk in costs else 0
                covered += costs[row.pk].amount if row.pk in costs else 0
        arms[first.arm].append(revenue)

    def arm(revenue: list[Decimal]) -> Arm:
        squares = sum((each * each for each in revenue), Decimal("0.0000"))
        return Arm(len(revenue), sum(each > 0 for each in revenue), sum(revenue, Decimal("0.00")), squares)

    return Outcome(arm(arms["treatment"]), arm(arms["control"]), discount, covered, still_open)


def test_clickhouse_counts_what_plain_python_counts(clickhouse, monkeypatch):
    monkeypatch.setattr(sample, "SMALL_SHARE_PERCENT", 3)
    monkeypatch.setattr(demo, "ANALYTICS", ())
    call_command("demo", stdout=StringIO())
    now = timezone.now()

    aggregate_cross_promo(at=now)

    tomorrow = timezone.localdate(now) + timedelta(days=1)
    cells = win_win_matrix(None, start=tomorrow - timedelta(days=700), end=tomorrow)
    found = {chain.chain_id: chain.outcome for cell in cells for chain in cell.chains}
    counted = {chain.pk: outcome_of(chain, at=now) for chain in CrossPromoChain.objects.all()}
    assert found == {pk: outcome for pk, outcome in counted.items() if outcome != Outcome(Arm(), Arm())}
    # The sample holds every case, so that equal numbers are not equal zeros.
    everything = list(found.values())
    assert sum(each.treated.visits for each in everything) > 10
    assert sum(each.control.visits for each in everything) > 1
    assert (
        sum(each.discount_rub for each in everything) > sum(each.covered_rub for each in everything) > KOPECK
    )
    assert sum(each.still_open for each in everything) > 1
