"""The win-win map and the report of a pair's chains in plain values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from analytics.charts import ArmBars, arm_bars, heat
from analytics.comparison import Arm, Outcome
from analytics.selectors import MatrixCell
from analytics.wording import (
    arms_words,
    between_words,
    gain_words,
    lacking_words,
    left_out_words,
    open_words,
    roubles_words,
    share_words,
    spending_words,
    visits_words,
)
from promos.models import CrossPromoChain
from promos.models.coupon import Benefit

NOTHING = Outcome(Arm(), Arm())


@dataclass(frozen=True)
class Estimate:
    """An estimated number with its ends and whether it is a gain or a loss beyond chance."""

    value: str
    between: str
    tone: str


@dataclass(frozen=True)
class ChainReport:
    """What one chain brought in the period, in words and numbers.

    With too little to compare, `lacking` says what is missing and the estimates are None.
    """

    chain: CrossPromoChain
    rate: str
    outcome: Outcome
    finding: str
    lacking: str
    arms: str
    spending: str
    still_open: str
    left_out: str
    tone: str
    bars: ArmBars | None
    visits: Estimate | None
    revenue: Estimate | None
    net: Estimate | None

    @property
    def costs_besides(self) -> bool:
        """Whether the coupon gives what is no discount in roubles: a gift, more bonuses."""
        return self.chain.coupon_benefit in (Benefit.GIFT, Benefit.MULTIPLIER)


def matrix(cells: Collection[MatrixCell], names: Mapping[UUID, str]) -> dict[str, Any]:
    """Return sources as rows and targets as columns, and the same pairs as a list."""
    by_pair = {(cell.source_id, cell.target_id): cell for cell in cells}
    largest = max(cell.conversions for cell in cells)

    def order(ids: set[UUID]) -> list[UUID]:
        return sorted(ids, key=lambda business: names[business].casefold())

    targets = order({cell.target_id for cell in cells})
    rows = []
    for source in order({cell.source_id for cell in cells}):
        own = [by_pair.get((source, target)) for target in targets]
        rows.append({
            "name": names[source],
            "cells": [
                {
                    **(_told(cell) if cell else {}),
                    "cell": cell,
                    "heat": heat(cell.conversions, largest) if cell else 0,
                    "is_self": source == target,
                    "target": names[target],
                }
                for target, cell in zip(targets, own, strict=True)
            ],
            "total": sum(cell.conversions for cell in own if cell),
        })  # fmt: skip
    return {
        "targets": [names[target] for target in targets],
        "rows": rows,
        "totals": [sum(c.conversions for c in cells if c.target_id == target) for target in targets],
        "pairs": [{"source": row["name"], **each} for row in rows for each in row["cells"] if each["cell"]],
    }


def _told(cell: MatrixCell) -> dict[str, Any]:
    """Return what a cell says besides its count; of several chains, of the one most is known of."""
    outcome = cell.best_known
    uplift, net = outcome.uplift, outcome.net
    return {
        "rate": share_words(cell.conversions, cell.triggers),
        "gain": gain_words(uplift),
        "verdict": visits_words(uplift) if uplift else lacking_words(outcome),
        "tone": _tone(uplift.visits.low, uplift.visits.high) if uplift else "quiet",
        "net": net and roubles_words(net),
        "net_between": net and between_words(net),
    }


def chain_reports(
    chains: Sequence[CrossPromoChain],
    outcomes: Mapping[UUID, Outcome],
    left_out: Mapping[UUID, Mapping[str, int]],
) -> list[ChainReport]:
    """Return a report of each chain; a chain without an outcome has brought nothing yet.

    left_out  purchases that drew no arm, by chain and reason
    """
    return [_report(chain, outcomes.get(chain.pk, NOTHING), left_out.get(chain.pk, {})) for chain in chains]


def _report(chain: Any, outcome: Outcome, left_out: Mapping[str, int]) -> ChainReport:
    uplift, extra, net = outcome.uplift, outcome.extra_revenue, outcome.net
    lacking = lacking_words(outcome)
    tone = _tone(uplift.visits.low, uplift.visits.high) if uplift else "quiet"
    visits = revenue = left = None
    if uplift and extra and net:
        hundred = uplift.visits.times(100)
        value, _, between = gain_words(uplift).partition(" ")
        visits = Estimate(value, between, _tone(hundred.low, hundred.high))
        revenue = Estimate(roubles_words(extra), between_words(extra), _tone(extra.low, extra.high))
        left = Estimate(roubles_words(net), between_words(net), _tone(net.low, net.high))
    return ChainReport(
        chain=chain,
        rate=share_words(chain.conversions, chain.triggers),
        outcome=outcome,
        finding=visits_words(uplift) if uplift else lacking,
        lacking=lacking,
        arms=arms_words(outcome) if outcome.treated.members else "",
        spending=spending_words(uplift) if uplift else "",
        still_open=open_words(outcome.still_open, chain.attribution_days),
        left_out=left_out_words(left_out),
        tone=tone,
        bars=arm_bars(outcome),
        visits=visits,
        revenue=revenue,
        net=left,
    )


def _tone(low: float, high: float) -> str:
    return "gain" if low > 0 else "loss" if high < 0 else "quiet"
