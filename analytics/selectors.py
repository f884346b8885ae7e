"""What pages and endpoints read from ClickHouse, as plain values.

`business_ids` narrows a read to an owner's businesses; None is the whole programme, an empty collection
is nothing. Every read raises ClickHouseUnavailable when ClickHouse does not answer.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Max

from analytics.clickhouse.queries import ask, local_days, read_query, rfm_params, rfm_scores
from analytics.comparison import Arm, Outcome
from analytics.models import RfmRun, SyncWindow

# Below this many buyers fifths of a single business say nothing (rules.md, RFM).
FEWEST_BUYERS = 50


@dataclass(frozen=True)
class RfmRow:
    member_id: UUID
    recency_days: int
    frequency: int
    monetary_rub: Decimal
    r_score: int
    f_score: int
    m_score: int
    segment: str


@dataclass(frozen=True)
class RfmPage:
    """A page of the RFM table; `total` counts the rows of all pages.

    `enough_buyers` is false where a business has too few for fifths, and then there are no rows.
    `snapshot_date` is None before the first snapshot.
    """

    snapshot_date: date | None
    enough_buyers: bool
    total: int
    rows: tuple[RfmRow, ...]


@dataclass(frozen=True)
class RfmCell:
    r_score: int
    f_score: int
    segment: str
    members: int
    turnover_rub: Decimal


@dataclass(frozen=True)
class RfmMap:
    """Members and their turnover by recency and frequency; cells without members are left out."""

    snapshot_date: date | None
    enough_buyers: bool
    cells: tuple[RfmCell, ...]

    @property
    def members(self) -> int:
        return sum(cell.members for cell in self.cells)

    @property
    def turnover_rub(self) -> Decimal:
        return sum((cell.turnover_rub for cell in self.cells), Decimal("0.00"))

    def cell(self, r_score: int, f_score: int) -> RfmCell | None:
        return next((c for c in self.cells if (c.r_score, c.f_score) == (r_score, f_score)), None)


@dataclass(frozen=True)
class ChainCell:
    """A chain over a span of trigger days."""

    source_id: UUID
    target_id: UUID
    chain_id: UUID
    triggers: int
    conversions: int
    outcome: Outcome


@dataclass(frozen=True)
class MatrixCell:
    """A source and a target over a span of trigger days; `rate` is conversions per trigger.

    The arms of its chains are not added up: chains hold out different shares, and of different members.
    """

    source_id: UUID
    target_id: UUID
    chains: tuple[ChainCell, ...]

    @property
    def triggers(self) -> int:
        return sum(chain.triggers for chain in self.chains)

    @property
    def conversions(self) -> int:
        return sum(chain.conversions for chain in self.chains)

    @property
    def rate(self) -> float | None:
        return self.conversions / self.triggers if self.triggers else None

    @property
    def best_known(self) -> Outcome:
        """The outcome of the chain that most is known of, whatever it says."""
        outcomes = [chain.outcome for chain in self.chains]
        return max(outcomes, key=lambda each: min(each.treated.members, each.control.members))


@dataclass(frozen=True)
class Summary:
    """Purchases and refunds of a span of local days; turnover is net of refunds.

    `repeat_buyers` are the buyers with two purchases or more in the span.
    """

    turnover_rub: Decimal
    purchases: int
    refunds: int
    buyers: int
    repeat_buyers: int
    bonus_accrued: Decimal
    bonus_redeemed: Decimal


@dataclass(frozen=True)
class RfmCuts:
    """The four cut-points of each metric: a score is one more than the cuts below the value.

    Recency is stored as its negative, so that more is better in all three.
    """

    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    monetary_rub: tuple[Decimal, ...]

    @property
    def recency_days(self) -> tuple[int, ...]:
        return tuple(-cut for cut in self.recency)


class Step(StrEnum):
    """What one bar of a chart stands for; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True)
class Freshness:
    """Everything recorded before `as_of` is in ClickHouse; None before the first sync."""

    as_of: datetime | None

    def lag(self, *, at: datetime) -> timedelta | None:
        return at - self.as_of if self.as_of else None


def latest_run() -> RfmRun | None:
    return RfmRun.objects.order_by("-snapshot_date", "-calculated_at").first()


def rfm_rows(
    business_ids: Collection[UUID] | None = None,
    *,
    segment: str = "",
    limit: int = 50,
    offset: int = 0,
) -> RfmPage:
    """Return members of the latest snapshot, the largest turnover first.

    With businesses, the scores are computed now from purchases there alone, over the same days.
    """
    if (run := latest_run()) is None:
        return RfmPage(None, True, 0, ())
    page = {"segment": segment, "limit": limit, "offset": offset}
    rows = _rfm("rfm_page", run, business_ids, page)
    if rows is None:
        return RfmPage(run.snapshot_date, False, 0, ())
    if not rows and offset:  # Past the last page there is no row to carry the total.
        return replace(rfm_rows(business_ids, segment=segment, limit=1), rows=())
    total = rows[0][-1] if rows else 0
    return RfmPage(run.snapshot_date, True, total, tuple(RfmRow(*row[:-1]) for row in rows))


def rfm_map(business_ids: Collection[UUID] | None = None) -> RfmMap:
    """Return the recency by frequency map of the latest snapshot, or of purchases at businesses alone."""
    if (run := latest_run()) is None:
        return RfmMap(None, True, ())
    rows = _rfm("rfm_map", run, business_ids, {})
    if rows is None:
        return RfmMap(run.snapshot_date, False, ())
    return RfmMap(run.snapshot_date, True, tuple(RfmCell(*row) for row in rows))


def rfm_cuts(business_ids: Collection[UUID] | None = None) -> RfmCuts | None:
    """Return the cut-points behind the scores of `rfm_rows`, or None where there are no scores."""
    if (run := latest_run()) is None:
        return None
    if business_ids is None:
        cuts = RfmCuts(tuple(run.recency_cuts), tuple(run.frequency_cuts), tuple(run.monetary_cuts))
        return cuts if run.members else None
    rows = _rfm("rfm_cuts_now", run, business_ids, {})
    return RfmCuts(*(tuple(cut) for cut in rows[0])) if rows else None


def member_segment(member_id: UUID) -> RfmRow | None:
    """Return the member's row of the latest snapshot, or None when they are not in it."""
    if (run := latest_run()) is None:
        return None
    query = f"SELECT * FROM ({read_query('rfm_snapshot')}) WHERE user_id = %(member_id)s"  # noqa: S608
    params = {"snapshot_date": run.snapshot_date.isoformat(), "member_id": str(member_id)}
    rows = ask(query, params, business_ids=None)
    return RfmRow(*rows[0]) if rows else None


def win_win_matrix(
    business_ids: Collection[UUID] | None, *, start: date, end: date
) -> tuple[MatrixCell, ...]:
    """Return the pairs with a trigger on the local days [start, end); with businesses, pairs they are in."""
    params = {"from_date": start.isoformat(), "to_date": end.isoformat()}
    rows = ask(read_query("win_win_matrix"), params, business_ids=business_ids)
    chains = [_chain_cell(*row) for row in rows]
    return tuple(
        MatrixCell(*pair, tuple(group))
        for pair, group in groupby(chains, key=lambda chain: (chain.source_id, chain.target_id))
    )


def _chain_cell(
    source_id: UUID, target_id: UUID, chain_id: UUID, triggers: int, conversions: int, *arms: Any
) -> ChainCell:
    outcome = Outcome(Arm(*arms[:4]), Arm(*arms[4:8]), *arms[8:])
    return ChainCell(source_id, target_id, chain_id, triggers, conversions, outcome)


def summary(business_ids: Collection[UUID] | None, *, start: date, end: date) -> Summary:
    """Return the totals of the local days [start, end)."""
    [row] = ask(read_query("summary"), local_days(start, end), business_ids=business_ids)
    return Summary(*row)


def turnover_by(
    step: Step, business_ids: Collection[UUID] | None, *, start: date, end: date
) -> dict[date, Decimal]:
    """Return the turnover net of refunds of the local days [start, end), by the first day of each step.

    Steps without a purchase or a refund are left out.
    """
    first_day = {
        Step.DAY: "local_day",
        Step.WEEK: "toMonday(local_day)",
        Step.MONTH: "toStartOfMonth(local_day)",
    }
    query = read_query("turnover_by", first_day=first_day[step])
    return dict(ask(query, local_days(start, end), business_ids=business_ids))


def freshness() -> Freshness:
    """Return up to when every fact table is complete. Reads PostgreSQL only, so it answers always."""
    done = SyncWindow.objects.filter(status=SyncWindow.Status.DONE)
    latest = list(done.values("table").annotate(as_of=Max("created_at")).values_list("as_of", flat=True))
    return Freshness(as_of=min(latest) if latest else None)


def _rfm(
    name: str, run: RfmRun, business_ids: Collection[UUID] | None, params: dict[str, Any]
) -> list[tuple[Any, ...]] | None:
    """Run an RFM query over the stored snapshot or over businesses; None where buyers are too few."""
    params = rfm_params(run.snapshot_date, business_ids) | params | {"fewest": FEWEST_BUYERS}
    if business_ids is None:
        return list(ask(read_query(name, rfm_source=read_query("rfm_snapshot")), params, business_ids=None))
    source = f"SELECT * FROM ({rfm_scores()}) WHERE members >= %(fewest)s"  # noqa: S608
    rows = list(ask(read_query(name, rfm_source=source), params, business_ids=business_ids))
    if not rows:  # Too few buyers, or only nobody on this page: asked when it matters, it reads it all again.
        buyers = f"SELECT count() FROM ({read_query('rfm_members')})"  # noqa: S608
        if ask(buyers, params, business_ids=business_ids)[0][0] < FEWEST_BUYERS:
            return None
    return rows
