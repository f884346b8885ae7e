"""Carry facts from PostgreSQL to ClickHouse, exactly once as far as a reader can tell.

A window is a span of transaction ids. It ends below every transaction that still runs, so whatever is
inside is committed and stays; it is written down before it is pulled, and the mark moves only after
ClickHouse has acknowledged. Why so and not by time: docs/decisions/0002-database-architecture.md.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection as postgres
from django.db.transaction import atomic
from django.utils import timezone

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.clickhouse.postgres_link import collection
from analytics.clickhouse.tables import connect_to_work, create_like, drop, exchange
from analytics.errors import SyncRefused
from analytics.models import SyncWindow
from svoykrug.failpoints import failpoint

from .locks import only_one

log = logging.getLogger(__name__)

STALLED = timedelta(minutes=5)
KEPT = timedelta(days=31)

# Columns of each fact table, in the order in which they are pulled from the view of the same name.
FACTS: dict[str, tuple[str, ...]] = {
    "transaction_facts": (
        "transaction_id",
        "user_id",
        "business_id",
        "amount",
        "bonus_accrued",
        "category",
        "timestamp",
        "kind",
        "receipt_id",
        "bonus_redeemed",
        "coupon_discount",
        "version",
    ),
    "bonus_facts": (
        "entry_id",
        "lot_id",
        "user_id",
        "issuer_business_id",
        "honoured_business_id",
        "kind",
        "amount",
        "timestamp",
        "given_at",
        "version",
    ),
    "event_facts": (
        "registration_id",
        "event_id",
        "user_id",
        "business_id",
        "status",
        "party_size",
        "timestamp",
        "version",
    ),
}


@dataclass(frozen=True)
class Carried:
    """What one table received: rows as ClickHouse counted them, repeats of a broken window included."""

    table: str
    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Stall:
    """A PostgreSQL process whose open transaction lets nothing written after its begin be carried."""

    pid: int
    open_for: timedelta


def sync_facts() -> list[Carried] | None:
    """Carry every row committed since the last run; return None when another run is under way.

    Raises ClickHouseUnavailable, and then the planned window stays and the next run pulls it again;
    SyncRefused when PostgreSQL was restored since, so that the mark means nothing.
    """
    with only_one("sync") as got:
        if not got:
            log.info("A sync is already running; this one leaves the work to it.")
            return None
        with connect_to_work() as clickhouse:
            return carry(clickhouse)


def carry(clickhouse: Connection) -> list[Carried]:
    """Carry what was committed so far; for whoever holds the job `sync`. Raises as `sync_facts` does."""
    system, horizon = _system_identifier(), _horizon()
    done = [_sync_table(clickhouse, table, system=system, horizon=horizon) for table in FACTS]
    _forget_old_windows()
    return done


def carried_up_to(table: str) -> int:
    """Return the transaction id below which every row of the table is in ClickHouse."""
    last = SyncWindow.objects.filter(table=table, status=SyncWindow.Status.DONE).order_by("-id").first()
    return last.to_xid if last else 0


def refill_facts(
    tables: Sequence[str] = tuple(FACTS), *, report: Callable[[Carried], None] = lambda carried: None
) -> list[Carried] | None:
    """Fill tables anew from PostgreSQL, whatever they held, and start the windows over from here.

    The new table is filled beside the old one and takes its place at once, so readers never meet a
    half-filled one and a failure leaves the old. Return None when a sync is under way.
    """
    with only_one("sync") as got:
        if not got:
            return None
        done = []
        with connect_to_work() as clickhouse:
            for table in tables:
                done.append(_refill_table(clickhouse, table))
                report(done[-1])
        return done


def _sync_table(clickhouse: Connection, table: str, *, system: str, horizon: int) -> Carried:
    mark = _mark(table, system=system, horizon=horizon)
    rows, seconds = 0, 0.0
    if left_over := SyncWindow.objects.filter(table=table, status=SyncWindow.Status.PLANNED).first():
        log.warning("Window %s was planned but never acknowledged; pulling it again.", left_over)
        rows, seconds = _pull(clickhouse, left_over)
        mark = left_over.to_xid
    if horizon > mark:
        failpoint("sync-after-horizon")
        # Durable: the plan is committed before the pull, or a crash would forget it.
        with atomic(durable=True):
            window = SyncWindow.objects.create(
                table=table, from_xid=mark, to_xid=horizon, system_identifier=system
            )
        failpoint("sync-planned")
        more_rows, more_seconds = _pull(clickhouse, window)
        rows, seconds = rows + more_rows, seconds + more_seconds
    return Carried(table, rows, seconds)


def _mark(table: str, *, system: str, horizon: int) -> int:
    """Return the transaction id up to which the table is complete, or refuse to go on from it."""
    last = SyncWindow.objects.filter(table=table).order_by("-id").first()
    if last is None:
        return 0
    if last.system_identifier != system:
        raise SyncRefused(
            f"PostgreSQL is another cluster than the one {table} was filled from:"
            " run `manage.py refill_clickhouse`."
        )
    if last.to_xid > horizon:
        raise SyncRefused(
            f"PostgreSQL has gone back behind the mark of {table} (restored to an earlier moment?):"
            " run `manage.py refill_clickhouse`."
        )
    return last.to_xid if last.status == SyncWindow.Status.DONE else last.from_xid


def _pull(clickhouse: Connection, window: SyncWindow) -> tuple[int, float]:
    """Let ClickHouse fetch the window, then mark it done."""
    started = time.monotonic()
    rows = clickhouse.run(
        f"{insert_select(window.table, into=window.table)} WHERE sync_xid >= %(from)s AND sync_xid < %(to)s",
        {"from": window.from_xid, "to": window.to_xid},
        limits=WORK_LIMITS,
    ).written
    seconds = time.monotonic() - started
    failpoint("sync-acknowledged")
    _finish(window, rows=rows, seconds=seconds)
    return rows, seconds


def _refill_table(clickhouse: Connection, table: str) -> Carried:
    system, horizon = _system_identifier(), _horizon()
    staging = f"{table}_refill"
    create_like(clickhouse, staging, model=table)
    started = time.monotonic()
    # Without bounds: rows of a restored cluster may carry ids above its new horizon. What is
    # committed beyond the horizon comes again with the next window, which does no harm.
    rows = clickhouse.run(insert_select(table, into=staging), limits=WORK_LIMITS).written
    seconds = time.monotonic() - started
    failpoint("refill-before-swap")
    exchange(clickhouse, staging, table)
    failpoint("refill-after-swap")
    # Should we die right here, the old mark makes the next run carry rows again, which does no harm.
    with atomic(durable=True):
        SyncWindow.objects.filter(table=table, status=SyncWindow.Status.PLANNED).delete()
        window = SyncWindow.objects.create(table=table, from_xid=0, to_xid=horizon, system_identifier=system)
        _finish(window, rows=rows, seconds=seconds)
    drop(clickhouse, staging)
    return Carried(table, rows, seconds)


def insert_select(table: str, *, into: str) -> str:
    """Return the statement by which ClickHouse fetches the table's rows from its export view."""
    columns = ", ".join(FACTS[table])
    return (
        f"INSERT INTO {into} ({columns}) SELECT {columns} FROM postgresql({collection()}, table = '{table}')"  # noqa: S608
    )


def _finish(window: SyncWindow, *, rows: int, seconds: float) -> None:
    window.status, window.rows, window.seconds = SyncWindow.Status.DONE, rows, seconds
    window.finished_at = timezone.now()
    window.save(update_fields=["status", "rows", "seconds", "finished_at"])


def _forget_old_windows() -> None:
    """Each run leaves a window per table; only the last one matters, a month of them helps to look back."""
    old = SyncWindow.objects.filter(status=SyncWindow.Status.DONE, created_at__lt=timezone.now() - KEPT)
    old.delete()


def stall() -> Stall | None:
    """Return the transaction that has been holding the horizon back for too long, the oldest one."""
    with postgres.cursor() as cursor:
        cursor.execute(
            "SELECT pid, extract(epoch FROM now() - xact_start)::int FROM pg_stat_activity"
            " WHERE backend_xid IS NOT NULL AND datname = current_database() AND xact_start < %s"
            " ORDER BY xact_start LIMIT 1",
            [timezone.now() - STALLED],
        )
        row = cursor.fetchone()
    return Stall(row[0], timedelta(seconds=row[1])) if row else None


def refusal() -> str:
    """Return why the next run would refuse to carry on, or nothing. Asks PostgreSQL only."""
    system, horizon = _system_identifier(), _horizon()
    try:
        for table in FACTS:
            _mark(table, system=system, horizon=horizon)
    except SyncRefused as refused:
        return refused.detail
    return ""


def _horizon() -> int:
    """Return the oldest transaction id still running in this database: everything below it has ended.

    A transaction known to run in another database of the server cannot write our rows and is passed
    over; one that cannot be placed counts as ours.
    """
    with postgres.cursor() as cursor:
        # The snapshot is taken before the activity is read: an id found elsewhere is certain.
        cursor.execute(
            """
            SELECT coalesce(
                (SELECT min(running) FROM pg_snapshot_xip(snapshot) AS running WHERE NOT EXISTS (
                    SELECT FROM pg_stat_activity a
                    WHERE a.backend_xid = xid(running) AND a.datname <> current_database()
                )),
                pg_snapshot_xmax(snapshot)
            )::text::bigint
            FROM (SELECT pg_current_snapshot() AS snapshot) AS now
            """
        )
        return int(cursor.fetchone()[0])


def _system_identifier() -> str:
    with postgres.cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        return str(cursor.fetchone()[0])
