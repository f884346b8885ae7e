"""How customers move: from segment to segment, and back to the shop month after month. Plain values.

Every read raises ClickHouseUnavailable when ClickHouse does not answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from analytics.clickhouse.queries import (
    ask,
    local_days,
    milliseconds,
    read_query,
    rfm_params,
)
from analytics.models import RfmRun
from analytics.periods import months_before, oldest_kept
from promos.segments import Segment

# Facts are kept for two years, and a cohort needs some of them to have been new in.
MOST_MONTHS = 18
# What tells one day's RFM from another's.
MOVED = ("snapshot_date", "from", "to")


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


def segment_moves_now(
    business_ids: Collection[UUID], *, earlier: date, later: date
) -> tuple[SegmentMove, ...]:
    """Return who moved where between two days by purchases at businesses alone, scored now.

    Each day takes the purchases of the 365 local days before it, so both lie within the last year.
    """
    params = rfm_params(later, business_ids)
    before = rfm_params(earlier, business_ids)
    params |= {f"{name}_earlier": before[name] for name in MOVED}
    query = read_query("segment_moves_now", rfm_members_twice=read_query("rfm_members_twice"))
    rows = ask(query, params, business_ids=business_ids)
    return tuple(SegmentMove(_segment(before), _segment(after), members) for before, after, members in rows)


def segment_history(runs: Collection[RfmRun]) -> dict[date, dict[Segment, int]]:
    """Return how many members of the programme were in each segment, snapshot by snapshot.

    runs  one a day, one or more; days whose snapshot is no longer kept are left out
    """
    pictures = tuple((run.snapshot_date.isoformat(), milliseconds(run.calculated_at)) for run in runs)
    history: dict[date, dict[Segment, int]] = {}
    for day, segment, members in ask(
        read_query("segment_history"), {"pictures": pictures}, business_ids=None
    ):  # fmt: skip
        history.setdefault(day, {})[Segment(segment)] = members
    return history


def cohorts(business_ids: Collection[UUID] | None, *, start: date, end: date) -> tuple[CohortCell, ...]:
    """Return the cohorts of the local days [start, end); months in which nobody came are left out.

    A member who bought before `start` counts as new in the span, so it should begin with the facts kept.
    """
    last = end - timedelta(days=1)
    months = (last.year - start.year) * 12 + last.month - start.month + 1
    params = local_days(start, end) | {"months": months}
    rows = ask(read_query("cohorts"), params, business_ids=business_ids)
    return tuple(CohortCell(*row) for row in rows)


def recent_cohorts(
    business_ids: Collection[UUID] | None, *, months: int, at: datetime
) -> tuple[CohortCell, ...]:
    """Return the cohorts of the last `months` local months, this one included.

    All that is kept is read and not these months alone: a cohort is of those who had never bought before.
    """
    today = timezone.localdate(at)
    start = timezone.localdate(oldest_kept(at)) + timedelta(days=1)
    first = months_before(today, months - 1)
    found = cohorts(business_ids, start=start, end=today + timedelta(days=1))
    return tuple(cell for cell in found if cell.month >= first)


def _segment(name: str) -> Segment | None:
    return Segment(name) if name else None
