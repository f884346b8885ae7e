"""What grows how: `make scaling` measures the analytics at three sizes, for the tables of docs/scaling.md.

Facts beyond --refill-up-to are made in ClickHouse alone: a PostgreSQL of that size takes hours to fill.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

SIZES = ((500_000, 10_000), (5_000_000, 100_000), (50_000_000, 1_000_000))
NEW_ROWS, ROUNDS, SAMPLE_SECONDS = 1000, 3, 0.02
MEGABYTE = 1024**2


@dataclass
class Row:
    """What was measured at one size; times in seconds, sizes in bytes, `peak` of one query at a time."""

    facts: int
    members: int
    seconds: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    disk: dict[str, int] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make scaling", description=__doc__)
    parser.add_argument("--up-to", type=int, default=SIZES[-1][0], metavar="FACTS")
    parser.add_argument("--refill-up-to", type=int, default=SIZES[1][0], metavar="FACTS")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
    import django

    django.setup()
    from tests.bench.machine import commit, machine
    from tests.bench.world import own_databases

    print(f"Load before: {os.getloadavg()[0]:.1f}", flush=True)
    with own_databases():
        print(", ".join(f"{name} {value}" for name, value in machine().items()) + f", commit {commit()}")
        for facts, members in SIZES:
            if facts <= options.up_to:
                report(measure(facts, members, with_postgresql=facts <= options.refill_up_to))
    print(f"Load after: {os.getloadavg()[0]:.1f}")


def measure(facts: int, members: int, *, with_postgresql: bool) -> Row:
    from django.utils import timezone

    from analytics.clickhouse.client import connect
    from analytics.services.rfm import calculate_rfm
    from tests.bench.facts import clickhouse_ready, query_times, seconds_of
    from tests.bench.generated import ENTRIES, TABLE, fill, fill_ledger, fill_matrix, members_in_postgresql

    row, at = Row(facts, members), timezone.now()
    clickhouse_ready()
    members_in_postgresql(members)
    if with_postgresql:
        _carry(row)
    with connect() as clickhouse:
        with _peak(row, "filling and merging"):
            row.seconds["filling and merging"] = seconds_of(
                fill, clickhouse, facts=facts, members=members, at=at
            )
        fill_ledger(clickhouse, entries=facts, members=members, at=at)
        fill_matrix(clickhouse, today=timezone.localdate(at))
        [(row.disk["facts in ClickHouse"],)] = clickhouse.run(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase()"
            " AND active AND table = %(table)s",
            {"table": TABLE},
        ).rows
        times = []
        with _peak(row, "RFM"):
            for days in range(ROUNDS):
                day = timezone.localdate(at) + timedelta(days=days)
                times.append(seconds_of(calculate_rfm, snapshot_date=day, at=at))
        row.seconds["RFM, the first night"] = times[0]
        row.seconds["RFM, later nights"] = median(times[1:])
        calculate_rfm(snapshot_date=day - timedelta(days=90), at=at)
        with _peak(row, "queries"):
            row.seconds |= query_times(day)
        for table in (TABLE, ENTRIES, "rfm_snapshots"):
            clickhouse.run(f"TRUNCATE TABLE {table}")
    from analytics.models import RfmRun

    RfmRun.objects.all().delete()
    return row


def _carry(row: Row) -> None:
    """Measure refill and sync with so many purchases in PostgreSQL."""
    from django.db import connection

    from analytics.services.sync import refill_facts, sync_facts
    from tests.bench.facts import seconds_of
    from tests.bench.generated import purchases_in_postgresql

    purchases_in_postgresql(row.facts, members=row.members)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_table_size('transactions')")
        row.disk["purchases in PostgreSQL, without indexes"] = cursor.fetchone()[0]
    with _peak(row, "refill"):
        rounds = ROUNDS if row.facts <= SIZES[1][0] else 1
        row.seconds["refill"] = median(seconds_of(refill_facts, ["transaction_facts"]) for _ in range(rounds))
    refill_facts(["bonus_facts", "event_facts"])
    times = []
    for number in range(1, ROUNDS + 1):
        purchases_in_postgresql(NEW_ROWS, members=row.members, first=row.facts + number * NEW_ROWS)
        times.append(seconds_of(sync_facts))
    row.seconds["sync of 1,000 new"] = median(times)


@contextmanager
def _peak(row: Row, name: str) -> Iterator[None]:
    """Look every 20 ms at the memory of the queries that run; the server keeps no log of them."""
    from analytics.clickhouse.client import connect

    done = threading.Event()

    def look() -> None:
        with connect() as clickhouse:
            while not done.is_set():
                [(peak,)] = clickhouse.run(
                    "SELECT max(peak_memory_usage) FROM system.processes"
                    " WHERE current_database = currentDatabase() AND query NOT LIKE '%system.processes%'"
                ).rows
                row.peak[name] = max(row.peak.get(name, 0), peak)
                time.sleep(SAMPLE_SECONDS)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def report(row: Row) -> None:
    print(f"\n{row.facts:,} facts, {row.members:,} members; load {os.getloadavg()[0]:.1f}\n")
    tables: list[tuple[str, dict[str, float], Callable[[float], str]]] = [
        ("seconds", row.seconds, lambda value: f"{value:.2f}"),
        ("MB at the peak of one query", dict(row.peak), lambda value: f"{value / MEGABYTE:.0f}"),
        ("MB on disk", dict(row.disk), lambda value: f"{value / MEGABYTE:.0f}"),
    ]
    for title, values, words in tables:
        print(f"| {title} | |\n| --- | ---: |")
        for name, value in values.items():
            print(f"| {name} | {words(value)} |")
        print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
