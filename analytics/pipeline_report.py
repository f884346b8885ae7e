"""How fresh and how right the analytics is, in plain words. Reads PostgreSQL only, so it always answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from analytics.models import Reconciliation, SyncWindow
from analytics.selectors import freshness
from analytics.services.sync import FACTS, refusal, stall

# Three runs missed: the task comes every five minutes.
LATE = timedelta(minutes=15)
# The current month is compared hourly, the closed ones nightly.
UNCOMPARED = timedelta(hours=26)

Outcome = Reconciliation.Outcome


@dataclass(frozen=True)
class Trouble:
    """What is wrong, what to do about it, and by which command if by one."""

    what: str
    advice: str
    command: str = ""


@dataclass(frozen=True)
class TableLine:
    """What was carried last to a fact table; `carried_at` None before the first sync."""

    name: str
    carried_at: datetime | None
    rows: int
    waiting: bool


@dataclass(frozen=True)
class MonthLine:
    """A month of a fact table as it was last compared."""

    name: str
    month: str
    at: datetime
    postgres_rows: int
    clickhouse_rows: int
    outcome: str
    words: str


def pipeline_report(*, at: datetime) -> dict[str, Any]:
    """Return the page's values: moments, lag in words, troubles with advice, tables, months."""
    comparisons = _latest_comparisons()
    as_of = freshness().as_of
    compared_at = max((each.created_at for each in comparisons), default=None)
    lag = at - as_of if as_of else None
    return {
        "as_of": as_of,
        "lag": _span_words(lag) if lag is not None else "",
        "compared_at": compared_at,
        "troubles": list(_troubles(lag, compared_at, comparisons, at)),
        "tables": _tables(),
        "months": [_month_line(each) for each in comparisons],
    }


def _latest_comparisons() -> list[Reconciliation]:
    """Each month of each table as last compared, the newest month first."""
    rows = Reconciliation.objects.order_by("table", "month", "-created_at").distinct("table", "month")
    order = list(FACTS)
    return sorted(rows, key=lambda row: (-row.month.toordinal(), order.index(row.table)))


def _troubles(
    lag: timedelta | None, compared_at: datetime | None, comparisons: Sequence[Reconciliation], at: datetime
) -> Iterator[Trouble]:
    if refusal():
        yield Trouble(
            gettext("PostgreSQL was restored from a backup. Nothing is carried until someone agrees."),
            gettext("Fill the copy anew:"),
            "manage.py refill_clickhouse",
        )
    if open_one := stall():
        yield Trouble(
            gettext("A database transaction stays open for %(time)s: what came after it waits.")
            % {"time": _span_words(open_one.open_for)},
            gettext("Find out what process %(pid)s is doing, and end it if it hangs.")
            % {"pid": open_one.pid},
        )
    if lag is None or lag > LATE:
        yield Trouble(
            gettext("No sync has ended for a while. Nothing is lost: purchases wait in PostgreSQL."),
            gettext("See that the worker, its schedule and ClickHouse are running; then carry what waits:"),
            "manage.py sync_clickhouse",
        )
    if differing := [each for each in comparisons if each.outcome == Outcome.DIFFERS]:
        yield Trouble(
            ngettext(
                "%(count)s month differs from PostgreSQL.",
                "%(count)s months differ from PostgreSQL.",
                len(differing),
            )
            % {"count": len(differing)},
            gettext("Rebuild it; if it still differs, look into the log:"),
            "manage.py reconcile --heal",
        )
    if compared_at is None or at - compared_at > UNCOMPARED:
        yield Trouble(
            gettext("The analytics was not compared with PostgreSQL for more than a day."),
            gettext("See that the schedule is switched on, or compare now:"),
            "manage.py reconcile",
        )


def _tables() -> list[TableLine]:
    done = SyncWindow.objects.filter(status=SyncWindow.Status.DONE)
    latest = {row.table: row for row in done.order_by("table", "-id").distinct("table")}
    waiting = set(SyncWindow.objects.filter(status=SyncWindow.Status.PLANNED).values_list("table", flat=True))
    lines = []
    for table in FACTS:
        row = latest.get(table)
        lines.append(
            TableLine(
                _name(table), row.created_at if row else None, (row.rows or 0) if row else 0, table in waiting
            )
        )
    return lines


def _month_line(row: Reconciliation) -> MonthLine:
    words = {
        Outcome.EQUAL: gettext("equal to the kopeck"),
        Outcome.HEALED: gettext("differed, rebuilt"),
        Outcome.DIFFERS: gettext("differs"),
    }
    return MonthLine(
        _name(row.table),
        _month_words(row.month),
        row.created_at,
        row.postgres_rows,
        row.clickhouse_rows,
        row.outcome,
        words[Outcome(row.outcome)],
    )


def _name(table: str) -> str:
    return {
        "transaction_facts": gettext("Purchases and refunds"),
        "bonus_facts": gettext("Movements of bonuses"),
        "event_facts": gettext("Registrations for events"),
    }[table]


def _month_words(month: date) -> str:
    return date_format(month, "F Y")


def _span_words(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds()) // 60)
    if not minutes:
        return gettext("less than a minute")
    if minutes < 120:
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}
    return ngettext("%(count)s day", "%(count)s days", hours // 24) % {"count": hours // 24}
