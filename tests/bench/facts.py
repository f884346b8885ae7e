"""How fast facts reach ClickHouse and what is worked out of them there."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from itertools import islice
from statistics import median
from typing import Any
from uuid import UUID

from django.utils import timezone

from analytics.clickhouse.client import WORK_LIMITS, Connection, connect
from analytics.clickhouse.migrate import apply_pending
from analytics.clickhouse.postgres_link import collection, ensure_link
from analytics.clickhouse.queries import rfm_params
from analytics.liability import breakage, liability
from analytics.models import RfmRun
from analytics.movements import cohorts, segment_moves, segment_moves_now
from analytics.selectors import Step, rfm_map, rfm_rows, summary, turnover_by, win_win_matrix
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import FACTS, refill_facts, sync_facts
from promos.models import MemberSegment
from promos.services.checkout import record_many
from tests.bench.generated import (
    ENTRIES,
    MILLION,
    TABLE,
    business,
    fill,
    fill_ledger,
    fill_matrix,
    members_in_postgresql,
)
from tests.bench.history import history
from tests.bench.purchases import numbers
from tests.bench.registry import Result, figure, of_yardstick
from tests.bench.world import people, purchase

ROUNDS = 3
NEW_ROWS = 1000
# What RFM adds up, as its rule has it: what refunds left of each receipt, then by member.
BARE_RFM = """
SELECT count(), sum(recency), sum(monetary)
FROM
(
    SELECT user_id, toDate(%(snapshot_date)s) - max(day) AS recency, count() AS frequency,
        sum(net) AS monetary
    FROM
    (
        SELECT any(user_id) AS user_id, toDate(maxIf(timestamp, kind = 'purchase'), %(zone)s) AS day,
            sum(amount) AS net
        FROM transaction_facts FINAL
        WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
        GROUP BY receipt_id
        HAVING net > 0
    )
    GROUP BY user_id
)
"""


@cache
def clickhouse_ready() -> None:
    apply_pending()
    with connect() as clickhouse:
        ensure_link(clickhouse)


def seconds_of(run: Any, *args: Any, **named: Any) -> float:
    started = time.perf_counter()
    run(*args, **named)
    return time.perf_counter() - started


@figure
def refill() -> Result:
    """All facts of purchases carried anew, beside the bare INSERT of the same rows."""
    history()
    clickhouse_ready()
    ours, bare, rows = [], [], 0
    with connect() as clickhouse:
        for _round in range(ROUNDS):
            bare.append(_bare_refill(clickhouse))
            started = time.perf_counter()
            carried = refill_facts([TABLE])
            assert carried
            rows = carried[0].rows
            ours.append(rows / (time.perf_counter() - started))
    return of_yardstick(
        median(ours), rows / median(bare), unit="rows/s", goal="≥ 0.9 of the bare INSERT", least=0.9,
        note=f"{rows} facts, exchange of the tables included",
    )  # fmt: skip


def _bare_refill(clickhouse: Connection) -> float:
    columns = ", ".join(FACTS[TABLE])
    clickhouse.run("DROP TABLE IF EXISTS bare")
    clickhouse.run(f"CREATE TABLE bare AS {TABLE}")
    return seconds_of(
        clickhouse.run,
        f"INSERT INTO bare ({columns}) SELECT {columns} FROM postgresql({collection()}, table = '{TABLE}')",
        limits=WORK_LIMITS,
    )


@figure
def sync_1000() -> Result:
    """A run of the pipeline that finds 1,000 new purchases."""
    people()
    clickhouse_ready()
    refill_facts()
    times = []
    for _round in range(ROUNDS):
        new = [purchase(number, f"sync-{number}") for number in islice(numbers, NEW_ROWS)]
        record_many(new, at=timezone.now())
        times.append(seconds_of(sync_facts))
    seconds = median(times)
    return Result(seconds, "s", "< 1 s", seconds < 1, note=f"{NEW_ROWS} purchases with their ledger entries")


@figure
def rfm_500k() -> Result:
    """RFM of 10,000 members from 500,000 facts."""
    return _rfm(facts=500_000, members=10_000)


@figure
def rfm_20m() -> Result:
    """RFM of 400,000 members from 20 million facts."""
    return _rfm(facts=20_000_000, members=400_000)


def _rfm(*, facts: int, members: int) -> Result:
    """Take the snapshots of successive days, as the nights do, the first unmeasured: it fills everything."""
    clickhouse_ready()
    members_in_postgresql(members)
    at = timezone.now()
    ours, bare = [], []
    with connect() as clickhouse:
        fill(clickhouse, facts=facts, members=members, at=at)
        calculate_rfm(snapshot_date=timezone.localdate(at), at=at)
        for days in range(1, ROUNDS + 1):
            day = timezone.localdate(at) + timedelta(days=days)
            bare.append(seconds_of(clickhouse.run, BARE_RFM, rfm_params(day, None), limits=WORK_LIMITS))
            ours.append(seconds_of(calculate_rfm, snapshot_date=day, at=at))
        changed = MemberSegment.objects.filter(snapshot_date=day).count()
        clickhouse.run(f"TRUNCATE TABLE {TABLE}")
        clickhouse.run("TRUNCATE TABLE rfm_snapshots")
    RfmRun.objects.all().delete()
    value, yardstick = median(ours), median(bare)
    return Result(
        value, "s", "≤ 1.5 × the bare aggregate", value <= 1.5 * yardstick, yardstick, value / yardstick,
        f"{facts} facts, {members} members, {changed} segments handed to PostgreSQL in the last round;"
        " the aggregate reads the same facts and stores nothing",
    )  # fmt: skip


@figure
def dashboard_5m() -> Result:
    """Every query of the owners' pages over 5 million purchases and as many movements; the slowest counts."""
    clickhouse_ready()
    at = timezone.now()
    members_in_postgresql(100_000)
    with connect() as clickhouse:
        fill(clickhouse, facts=5 * MILLION, members=100_000, at=at)
        fill_ledger(clickhouse, entries=5 * MILLION, members=100_000, at=at)
        fill_matrix(clickhouse, today=timezone.localdate(at))
        for days in (0, 90):
            calculate_rfm(snapshot_date=timezone.localdate(at) - timedelta(days=days), at=at)
        times = query_times(timezone.localdate(at))
        for table in (TABLE, ENTRIES, "rfm_snapshots"):
            clickhouse.run(f"TRUNCATE TABLE {table}")
    RfmRun.objects.all().delete()
    slowest = max(times, key=lambda name: times[name])
    all_of_them = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in times.items())
    return Result(
        times[slowest] * 1000, "ms", "≤ 300 ms, each", times[slowest] <= 0.3,
        note=f"slowest: {slowest}; 5,000,000 purchases, 5,000,000 movements of bonuses, 100,000 members;"
        f" in ms: {all_of_them}",
    )  # fmt: skip


def query_times(today: date) -> dict[str, float]:
    """Return the median seconds of what a page asks, by name."""
    one, three = [UUID(business(7))], [UUID(business(number)) for number in (3, 7, 11)]
    quarter = today - timedelta(days=90)
    year, month = today - timedelta(days=365), today - timedelta(days=30)
    queries: dict[str, Callable[[], object]] = {
        "summary, month": lambda: summary(None, start=month, end=today),
        "summary, year": lambda: summary(None, start=year, end=today),
        "summary, year, a business": lambda: summary(one, start=year, end=today),
        "turnover by day, month": lambda: turnover_by(Step.DAY, None, start=month, end=today),
        "turnover by month, year": lambda: turnover_by(Step.MONTH, None, start=year, end=today),
        "matrix, year": lambda: win_win_matrix(None, start=year, end=today),
        "RFM map": rfm_map,
        "RFM page": rfm_rows,
        "RFM map, a business": lambda: rfm_map(one),
        "cohorts, year": lambda: cohorts(None, start=year, end=today),
        "cohorts, year, three businesses": lambda: cohorts(three, start=year, end=today),
        "segment moves": lambda: segment_moves(earlier=quarter, later=today),
        "segment moves, a business": lambda: segment_moves_now(one, earlier=quarter, later=today),
        "bonuses held": lambda: liability(None, on=today),
        "breakage, year": lambda: breakage(None, start=year, end=today),
        "breakage, year, a business": lambda: breakage(one, start=year, end=today),
    }
    return {name: median(seconds_of(query) for _round in range(ROUNDS)) for name, query in queries.items()}
