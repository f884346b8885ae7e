"""Compare the facts with PostgreSQL month by month, and rebuild a month that differs.

Both sides are looked at while no sync runs, right after one: what PostgreSQL has below the mark must be in
ClickHouse, to the row and to the kopeck. How it is added up: analytics/clickhouse/fingerprint.py.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from django.db import connection as postgres

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.clickhouse.fingerprint import NOTHING, Sums, clickhouse_sums, postgres_sums
from analytics.clickhouse.tables import connect_to_work, create_like, drop
from analytics.errors import SwapRefused
from analytics.models import Reconciliation
from analytics.periods import oldest_kept
from svoykrug.failpoints import failpoint

from .locks import only_one
from .sync import FACTS, carried_up_to, carry, insert_select

log = logging.getLogger(__name__)

Outcome = Reconciliation.Outcome
PATIENCE = timedelta(minutes=10)
KEPT = timedelta(days=31)
# A rebuilt month is checked once more against PostgreSQL; purchases meanwhile may ask for another try.
TRIES = 3
END_OF_TIME = 2**32 - 1  # of DateTime: seconds since 1970


class Months(StrEnum):
    """Which months are compared; the current one has no end, for a till's clock may run ahead."""

    CURRENT = "current"
    CLOSED = "closed"
    ALL = "all"


@dataclass(frozen=True)
class Compared:
    """A month (as 202611) of a table: what both sides held when first compared, and how it ended."""

    table: str
    month: int
    postgres: Sums
    clickhouse: Sums
    outcome: Outcome

    @property
    def first_day(self) -> date:
        return date(self.month // 100, self.month % 100, 1)


@dataclass(frozen=True)
class _Span:
    """Seconds since 1970, `until` exclusive."""

    since: int
    until: int


def reconcile(
    *, at: datetime, months: Months = Months.ALL, heal: bool = False, tables: Sequence[str] = tuple(FACTS)
) -> list[Compared] | None:
    """Bring the facts up to date, compare them month by month, and with `heal` rebuild what differs.

    Rows that ClickHouse may drop for their age within a day are left out. A month that could not be
    healed stays as it was and is returned as differing. Return None when a sync runs for too long.

    Raises ClickHouseUnavailable, or SyncRefused when the mark means nothing.
    """
    span = _span(months, at)
    with only_one("sync", patience=PATIENCE) as got:
        if not got:
            return None
        with connect_to_work() as clickhouse:
            carry(clickhouse)
            done = [each for table in tables for each in _reconcile_table(clickhouse, table, span, heal=heal)]
    Reconciliation.objects.filter(created_at__lt=at - KEPT).delete()
    Reconciliation.objects.bulk_create(_record(each, at) for each in done)
    return done


def _span(months: Months, at: datetime) -> _Span:
    at = at.astimezone(UTC)
    this_month = int(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp())
    oldest = int(oldest_kept(at).timestamp())
    return _Span(
        since=this_month if months == Months.CURRENT else oldest,
        until=this_month if months == Months.CLOSED else END_OF_TIME,
    )


def _reconcile_table(clickhouse: Connection, table: str, span: _Span, *, heal: bool) -> list[Compared]:
    theirs, ours = _both(clickhouse, table, source=table, span=span)
    done = []
    for month in sorted(theirs.keys() | ours.keys()):
        outcome = Outcome.EQUAL
        if theirs.get(month) != ours.get(month):
            outcome = Outcome.DIFFERS
            log.warning(
                "%s %s: PostgreSQL holds %s, ClickHouse %s.", table, month, theirs.get(month), ours.get(month)
            )
            if heal and _heal(clickhouse, table, month, span):
                outcome = Outcome.HEALED
        done.append(Compared(table, month, theirs.get(month, NOTHING), ours.get(month, NOTHING), outcome))
    return done


def _heal(clickhouse: Connection, table: str, month: int, span: _Span) -> bool:
    """Rebuild the month beside the old one, swap it in, and return whether both sides are equal now."""
    whole = _month(month)
    looked_at = _Span(max(whole.since, span.since), whole.until)
    for _try in range(TRIES):
        try:
            _rebuild(clickhouse, table, month, whole=whole, looked_at=looked_at)
        except SwapRefused as refused:
            log.warning("%s", refused.detail)
            continue
        theirs, ours = _both(clickhouse, table, source=table, span=looked_at)
        if theirs == ours:
            log.warning("%s %s was rebuilt from PostgreSQL.", table, month)
            return True
    log.error("%s %s could not be rebuilt.", table, month)
    return False


def _rebuild(clickhouse: Connection, table: str, month: int, *, whole: _Span, looked_at: _Span) -> None:
    """Raises SwapRefused, and then the old month stands."""
    staging = f"{table}_heal"
    create_like(clickhouse, staging, model=table)
    # The month as a whole, rows soon to be dropped included: readers still see those.
    clickhouse.run(
        f"{insert_select(table, into=staging)} WHERE timestamp >= %(since)s AND timestamp < %(until)s",
        {"since": whole.since, "until": whole.until},
        limits=WORK_LIMITS,
    )
    theirs, ours = _both(clickhouse, table, source=staging, span=looked_at)
    if theirs != ours:
        raise SwapRefused(
            f"{table} {month}: the rebuilt month holds {ours.get(month, NOTHING)}, PostgreSQL"
            f" {theirs.get(month, NOTHING)}: nothing is swapped."
        )
    failpoint("heal-before-swap")
    if theirs:
        clickhouse.run(f"ALTER TABLE {table} REPLACE PARTITION {month} FROM {staging}")
    else:
        # Only here may a month become empty: PostgreSQL has been asked and holds none.
        clickhouse.run(f"ALTER TABLE {table} DROP PARTITION {month}")
    failpoint("heal-after-swap")
    drop(clickhouse, staging)


def _both(
    clickhouse: Connection, table: str, *, source: str, span: _Span
) -> tuple[dict[int, Sums], dict[int, Sums]]:
    """Return the sums by month of PostgreSQL and of ClickHouse's `source`. PostgreSQL is asked first:
    what is committed later is not in ClickHouse either."""
    params = {"since": span.since, "until": span.until, "mark": carried_up_to(table)}
    with postgres.cursor() as cursor:
        cursor.execute(postgres_sums(table), params)
        rows = cursor.fetchall()
    theirs = {month: Sums(count, amount, int(digest)) for _, month, count, amount, digest in rows if month}
    answer = clickhouse.run(
        clickhouse_sums(table, source=source), {**params, "upto": rows[0][0]}, limits=WORK_LIMITS
    )
    return theirs, {month: Sums(*sums) for month, *sums in answer.rows}


def _month(month: int) -> _Span:
    year, number = divmod(month, 100)
    first = datetime(year, number, 1, tzinfo=UTC)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return _Span(int(first.timestamp()), int(following.timestamp()))


def _record(compared: Compared, at: datetime) -> Reconciliation:
    return Reconciliation(
        created_at=at,
        table=compared.table,
        month=compared.first_day,
        postgres_rows=compared.postgres.rows,
        clickhouse_rows=compared.clickhouse.rows,
        postgres_amount=compared.postgres.amount,
        clickhouse_amount=compared.clickhouse.amount,
        outcome=compared.outcome,
    )
