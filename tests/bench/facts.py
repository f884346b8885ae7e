"""How fast facts reach ClickHouse and what is worked out of them there."""

import time
from datetime import timedelta
from functools import cache
from itertools import islice
from statistics import median
from typing import Any

from django.utils import timezone

from analytics.clickhouse.client import WORK_LIMITS, Connection, connect
from analytics.clickhouse.migrate import apply_pending
from analytics.clickhouse.postgres_link import collection, ensure_link
from analytics.clickhouse.queries import read_query, rfm_params
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import FACTS, refill_facts, sync_facts
from promos.services.checkout import record_many
from tests.bench.history import history
from tests.bench.purchases import numbers
from tests.bench.registry import Result, figure, of_yardstick
from tests.bench.world import people, purchase

ROUNDS = 3
TABLE = "transaction_facts"
NEW_ROWS = 1000

# Purchases of the last year, evenly over members and businesses, each its own receipt.
GENERATED = f"""
INSERT INTO {TABLE} ({", ".join(FACTS[TABLE])})
SELECT id, member, business, 100 + number %% 900, 1, 'tea', at, 'purchase', id, 0, 0, 1
FROM (
    SELECT number, cityHash64(number) AS hash,
        toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))) AS id,
        toUUID(concat('00000000-0000-7000-9000-', leftPad(toString(hash %% %(members)s), 12, '0'))) AS member,
        toUUID(concat('00000000-0000-7000-a000-', leftPad(toString(number %% 20), 12, '0'))) AS business,
        toDateTime(%(until)s - toInt64(intDiv(hash, 1000000) %% 31000000), 'UTC') AS at
    FROM numbers(%(count)s)
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
    clickhouse_ready()
    at = timezone.now()
    today = timezone.localdate(at)
    ours, bare = [], []
    with connect() as clickhouse:
        clickhouse.run(f"TRUNCATE TABLE {TABLE}")
        values = {"count": facts, "members": members, "until": int((at - timedelta(days=2)).timestamp())}
        clickhouse.run(GENERATED, values, limits=WORK_LIMITS)
        aggregate = f"SELECT count(), sum(recency), sum(monetary) FROM ({read_query('rfm_members')})"
        for number in range(ROUNDS):
            bare.append(seconds_of(clickhouse.run, aggregate, rfm_params(today, None), limits=WORK_LIMITS))
            moment = at + timedelta(seconds=number)
            ours.append(seconds_of(calculate_rfm, snapshot_date=today, at=moment))
    value, yardstick = median(ours), median(bare)
    return Result(
        value, "s", "≤ 1.5 × the bare aggregate", value <= 1.5 * yardstick, yardstick, value / yardstick,
        f"{facts} facts, {members} members; the aggregate reads the same facts and stores nothing",
    )  # fmt: skip
