"""How customers move: cohorts of first purchase, and from segment to segment."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from analytics.charts import heat
from analytics.models import RfmRun
from analytics.movements import (
    MOST_MONTHS,
    CohortCell,
    SegmentMove,
    recent_cohorts,
    segment_history,
    segment_moves,
    segment_moves_now,
)
from analytics.periods import short_day
from analytics.report_forms import SpanOfDays
from analytics.report_page import report
from analytics.schedule import nightly
from analytics.selectors import FEWEST_BUYERS
from analytics.tables import Column, Kind, Table
from loyalty.staff import Scope
from loyalty.templatetags.money import MINUS, grouped, percent
from promos.segments import Segment
from svoykrug.charts import Line, LineChart, draw_lines

MONTHS = (6, 12, MOST_MONTHS)
DEFAULT_MONTHS = 12
# Below this the share of those who came again is chance.
FEWEST_NEWCOMERS = 50
FEWEST_IN_A_ROW = 10
# Spots of a segment's line through the snapshots between two days.
SPOTS = 13
DEFAULT_SPAN = timedelta(days=90)


@dataclass(frozen=True)
class TriangleCell:
    share: str
    members: int
    heat: int


@dataclass(frozen=True)
class CohortRow:
    label: str
    members: int
    cells: tuple[TriangleCell | None, ...]


@report("cohorts")
def cohorts_page(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """The retention triangle: of those who came first in a month, who bought in the months after."""
    now = timezone.now()
    asked = request.GET.get("months", "")
    months = int(asked) if asked in {str(choice) for choice in MONTHS} else DEFAULT_MONTHS
    cells = recent_cohorts(scope.report_business_ids, months=months, at=now)
    context = {
        "title": gettext("Cohorts of first purchase"), "months": months, "month_choices": MONTHS,
        "empty": not cells,
    }  # fmt: skip
    if not cells:
        return context
    newest = timezone.localdate(now).replace(day=1)
    kept = _kept(cells, newest)
    chart = draw_lines([(gettext("came again"), kept[1:])], [str(n) for n in range(1, len(kept))])
    return context | {
        "rows": _triangle(cells, newest),
        "later_months": range(max(cell.months_later for cell in cells) + 1),
        "chart": chart,
        "finding": _cohort_finding(kept),
        "tables": {
            "cohorts": _cohort_table(cells),
            "average": Table(
                "average",
                (
                    Column(gettext("Months after the first purchase")),
                    Column(gettext("Came again"), Kind.SHARE),
                ),
                tuple((number, share) for number, share in enumerate(kept) if number),
            ),
        },
    }


def _triangle(cells: Sequence[CohortCell], newest: date) -> list[CohortRow]:
    """Return the cohorts, the oldest first; a month in which nobody came is nought, not a gap."""
    by_place = {(cell.month, cell.months_later): cell.members for cell in cells}
    sizes = {cell.month: cell.members for cell in cells if not cell.months_later}
    # A row of few people would outshine all others.
    largest = max(
        (
            n / sizes[month]
            for (month, later), n in by_place.items()
            if later and sizes[month] >= FEWEST_IN_A_ROW
        ),
        default=1,
    )
    rows = []
    for month, size in sorted(sizes.items()):
        row: list[TriangleCell | None] = []
        for later in range(_months_between(month, newest) + 1):
            members = by_place.get((month, later), 0)
            share = members / size
            row.append(
                TriangleCell(
                    percent(Decimal(round(100 * share))), members, heat(share, largest) if later else 0
                )
            )
        rows.append(CohortRow(date_format(month, "M Y"), size, tuple(row)))
    width = max(len(row.cells) for row in rows)
    return [
        CohortRow(row.label, row.members, (*row.cells, *[None] * (width - len(row.cells)))) for row in rows
    ]


def _kept(cells: Sequence[CohortCell], newest: date) -> list[Decimal]:
    """Return the share of all who bought again so many months later, of cohorts whose month is over."""
    sizes = {cell.month: cell.members for cell in cells if not cell.months_later}
    came: dict[int, int] = {}
    for cell in cells:
        came[cell.months_later] = came.get(cell.months_later, 0) + cell.members * (
            _months_between(cell.month, newest) > cell.months_later
        )
    shares = []
    for later in range(max(_months_between(month, newest) for month in sizes) + 1):
        whole = sum(size for month, size in sizes.items() if _months_between(month, newest) > later)
        if whole < FEWEST_NEWCOMERS:
            break
        shares.append(Decimal(came.get(later, 0)) / whole)
    return shares


def _cohort_finding(kept: Sequence[Decimal]) -> str:
    if len(kept) < 2:
        return gettext("The first month is not over yet: who comes back shows after it")
    words = {"next": grouped(Decimal(round(100 * kept[1])))}
    if len(kept) < 7:
        return gettext("Of 100 newcomers %(next)s come again a month later") % words
    words["half"] = grouped(Decimal(round(100 * kept[6])))
    return gettext("Of 100 newcomers %(next)s come again a month later, %(half)s half a year later") % words


def _cohort_table(cells: Sequence[CohortCell]) -> Table:
    sizes = {cell.month: cell.members for cell in cells if not cell.months_later}
    return Table(
        "cohorts",
        (
            Column(gettext("First purchase")),
            Column(gettext("Months later"), Kind.COUNT),
            Column(gettext("Bought"), Kind.COUNT),
            Column(gettext("Share"), Kind.SHARE),
            Column(gettext("For, ₽"), Kind.RUB),
        ),
        tuple(
            (
                date_format(cell.month, "F Y"), cell.months_later, cell.members,
                cell.members / sizes[cell.month], cell.turnover_rub,
            )
            for cell in cells
        ),
    )  # fmt: skip


def _months_between(first: date, second: date) -> int:
    return (second.year - first.year) * 12 + second.month - first.month


@dataclass(frozen=True)
class SegmentLine:
    """A segment then and now; `line` through the snapshots between, None where they are too few."""

    name: str
    then: int
    now: int
    change: str
    line: Line | None


@report("segments")
def segments_page(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """Segments over time and who moved where: the programme's by snapshots, a partner's scored now."""
    today = timezone.localdate()
    runs = list(RfmRun.objects.filter(members__gt=0).order_by("snapshot_date"))
    context: dict[str, Any] = {"title": gettext("Moves of segments"), "fewest": FEWEST_BUYERS}
    if not runs:
        return context | {"nightly": nightly("calculate_rfm_snapshots"), "none": True}
    later = runs[-1].snapshot_date
    earlier = max(later - DEFAULT_SPAN, runs[0].snapshot_date) if scope.is_programme else later - DEFAULT_SPAN
    asked = {name: request.GET[name] for name in ("earlier", "later") if name in request.GET}
    initial = {"earlier": min(earlier, later - timedelta(days=1)).isoformat(), "later": later.isoformat()}
    form = SpanOfDays({**initial, **asked}, today=today)
    context["form"] = form
    if not form.is_valid():
        return context
    earlier, later = form.cleaned_data["earlier"], form.cleaned_data["later"]
    businesses = scope.report_business_ids
    if businesses is None:
        between = _runs_between(runs, earlier, later)
        if len(between) < 2:
            first = date_format(runs[0].snapshot_date, "j E Y")
            form.add_error(
                "earlier", gettext("There is one picture only so far: the first is of %s.") % first
            )
            return context
        moves = segment_moves(earlier=between[0].snapshot_date, later=between[-1].snapshot_date)
        chart = _history_chart(between)
        earlier, later = between[0].snapshot_date, between[-1].snapshot_date
    else:
        moves, chart = segment_moves_now(businesses, earlier=earlier, later=later), None
        if sum(move.members for move in moves if move.later) < FEWEST_BUYERS:
            return context | {"few": True}
    return context | _moves_context(moves, chart) | {"earlier": earlier, "later": later}


def _runs_between(runs: Sequence[RfmRun], earlier: date, later: date) -> list[RfmRun]:
    """Return some snapshots of the span, first and last included: those nearest before its ends."""
    until = [run for run in runs if run.snapshot_date <= later]
    since = [run for run in until if run.snapshot_date <= earlier][-1:]
    span = since + [run for run in until if run.snapshot_date > earlier]
    if len(span) <= SPOTS:
        return span
    return [span[round(spot * (len(span) - 1) / (SPOTS - 1))] for spot in range(SPOTS)]


def _history_chart(runs: Sequence[RfmRun]) -> LineChart | None:
    history = segment_history(runs)
    days = sorted(history)
    spots = [short_day(day) for day in days]
    # Each to its own scale: next to the sleepers nobody would see the newcomers move.
    charts = [
        draw_lines([(segment, [Decimal(history[day].get(segment, 0)) for day in days])], spots)
        for segment in Segment
    ]
    top = max(chart.top for chart in charts)
    together = LineChart(tuple(line for chart in charts for line in chart.lines), top, tuple(spots))
    return together if together.is_worth_drawing else None


def _moves_context(moves: Collection[SegmentMove], chart: LineChart | None) -> dict[str, Any]:
    stayed = sum(move.members for move in moves if move.earlier == move.later)
    both = sum(move.members for move in moves if move.earlier and move.later)
    changed = [move for move in moves if move.earlier and move.later and move.earlier != move.later]
    largest = max(changed, key=lambda move: move.members, default=None)
    return {
        "finding": gettext("%(moved)s of %(count)s customers moved to another segment")
        % {"moved": grouped(Decimal(both - stayed)), "count": grouped(Decimal(both))},
        "largest": largest and {
            "earlier": largest.earlier.label,
            "later": largest.later.label,
            "members": largest.members,
        },
        "chart": chart,
        "segments": _segment_lines(moves, chart),
        "matrix": _matrix(moves),
        "tables": {"moves": _moves_table(moves), **({"history": _history_table(chart)} if chart else {})},
    }  # fmt: skip


def _segment_lines(moves: Collection[SegmentMove], chart: LineChart | None) -> list[SegmentLine]:
    lines = {line.label: line for line in chart.lines} if chart else {}
    rows = []
    for segment in Segment:
        then = sum(move.members for move in moves if move.earlier == segment)
        now = sum(move.members for move in moves if move.later == segment)
        if then or now:
            sign = {True: "+", False: MINUS}[now > then] if now != then else ""
            rows.append(
                SegmentLine(
                    str(segment.label), then, now, sign + grouped(Decimal(abs(now - then))),
                    lines.get(segment),
                )
            )  # fmt: skip
    return rows


def _matrix(moves: Collection[SegmentMove]) -> dict[str, Any]:
    """Return then as rows and now as columns; the last of each is not being a buyer."""
    by_pair = {(move.earlier, move.later): move.members for move in moves}
    before = [each for each in (*Segment, None) if any(earlier == each for earlier, _ in by_pair)]
    after = [each for each in (*Segment, None) if any(later == each for _, later in by_pair)]
    largest = max((n for (earlier, later), n in by_pair.items() if earlier != later), default=0)
    return {
        "columns": [later.label if later else gettext("no purchases") for later in after],
        "rows": [
            {
                "name": earlier.label if earlier else gettext("no purchases yet"),
                "cells": [
                    {
                        "members": by_pair.get((earlier, later), 0),
                        "stayed": earlier == later,
                        "heat": 0 if earlier == later else heat(by_pair.get((earlier, later), 0), largest),
                    }
                    for later in after
                ],
            }
            for earlier in before
        ],
    }


def _moves_table(moves: Collection[SegmentMove]) -> Table:
    ordered = sorted(moves, key=lambda move: -move.members)
    return Table(
        "moves",
        (Column(gettext("Then")), Column(gettext("Now")), Column(gettext("Customers"), Kind.COUNT)),
        tuple(
            (
                move.earlier.label if move.earlier else gettext("no purchases yet"),
                move.later.label if move.later else gettext("no purchases"),
                move.members,
            )
            for move in ordered
        ),
    )


def _history_table(chart: LineChart) -> Table:
    return Table(
        "history",
        (Column(gettext("Segment")), *(Column(day, Kind.COUNT) for day in chart.places)),
        tuple((Segment(line.label).label, *line.values) for line in chart.lines),
    )
