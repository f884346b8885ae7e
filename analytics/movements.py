"""How customers move: from segment to segment, and back to the shop month after month. Plain values.

Every read raises ClickHouseUnavailable when ClickHouse does not answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from analytics.clickhouse.queries import ask, local_days, read_query
from promos.segments import Segment


@dataclass(frozen=True)
class SegmentMove:
    """Members in `earlier` at the first date and in `later` at the second; None: not in that snapshot."""

    earlier: Segment | None
    later: Segment | None
    members: int


@dataclass(frozen=True)
class CohortCell:
    """Of the members whose first purchase fell into `month`, those who bought `months_later`.

    `turnover_rub` is gross: a refund belongs to the month of its receipt, not to the one it came in.
    """

    month: date
    months_later: int
    members: int
    turnover_rub: Decimal


def segment_moves(*, earlier: date, later: date) -> tuple[SegmentMove, ...]:
    """Return who moved where between the snapshots of two days, of the programme as a whole."""
    params = {"earlier": earlier.isoformat(), "later": later.isoformat()}
    rows = ask(read_query("segment_moves"), params, business_ids=None)
    return tuple(SegmentMove(_segment(before), _segment(after), members) for before, after, members in rows)


def cohorts(business_ids: Collection[UUID] | None, *, start: date, end: date) -> tuple[CohortCell, ...]:
    """Return the cohorts of the local days [start, end); months in which nobody came are left out.

    A member who bought before `start` counts as new in the span, so it should begin with the facts kept.
    """
    rows = ask(read_query("cohorts"), local_days(start, end), business_ids=business_ids)
    return tuple(CohortCell(*row) for row in rows)


def _segment(name: str) -> Segment | None:
    return Segment(name) if name else None
