"""How fast purchases are recorded, beside the same rows written by hand."""

import csv
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import TypeVar

from django.db import connection
from django.utils import timezone

from promos.imports.loader import import_file
from promos.imports.profiles import FIELDS
from promos.services.checkout import record_many, record_purchase
from promos.services.purchases import Status
from tests.bench import yardstick
from tests.bench.registry import Result, figure, of_yardstick
from tests.bench.web import load, request_bytes, web_server
from tests.bench.world import BUSINESSES, MEMBERS, api_keys, people, purchase, stored

ROUNDS = 3
CLIENTS = 16
SECONDS = 6
WARM_UP_REQUESTS = 400
MOST_REQUESTS = 20_000  # a round
BATCH_ROWS, BATCHES = 1000, 5
IMPORT_ROWS = 40_000
HOT_CONNECTIONS, HOT_SECONDS = 8, 5

T = TypeVar("T")
numbers = count(1)


def alternate(ours: Callable[[], T], theirs: Callable[[], float | None]) -> tuple[list[T], float | None]:
    """Run both in turns, so that the machine's moods fall on both; return ours and the median of theirs."""
    mine: list[T] = []
    others: list[float] = []
    for _round in range(ROUNDS):
        if rate := theirs():
            others.append(rate)
        mine.append(ours())
    return mine, median(others) if others else None


@figure
def http_purchase() -> Result:
    """Tills' purchases over HTTP, one a request, each answered when it is durable."""
    people()
    posts = _posts()
    before = stored(source="api")
    with web_server() as port:
        sent = len(load(port, list(islice(posts, WARM_UP_REQUESTS)), clients=CLIENTS, seconds=60).latencies)

        def round_() -> tuple[float, float, str]:
            requests = list(islice(posts, MOST_REQUESTS))
            seen = load(port, requests, clients=CLIENTS, seconds=SECONDS)
            seen.expect(201)
            nonlocal sent
            sent += len(seen.latencies)
            return seen.per_second, seen.percentile(0.99), seen.sentence()

        def pgbench() -> float | None:
            nonlocal before
            already = stored(source="api")
            rate = yardstick.purchases_per_second(clients=CLIENTS, seconds=SECONDS)
            before += stored(source="api") - already
            return rate

        rounds, theirs = alternate(round_, pgbench)
    if (found := stored(source="api") - before) != sent:
        raise RuntimeError(f"{sent} purchases were answered with 201, {found} are stored.")
    rate, p99, sentence = sorted(rounds)[len(rounds) // 2]
    return of_yardstick(
        rate, theirs, unit="purchases/s", goal="≥ 1/3 of pgbench, p99 ≤ 150 ms", least=1 / 3, also=p99 <= 150,
        note=f"{CLIENTS} clients, {sent} purchases, all found in the database; {sentence}",
    )  # fmt: skip


def _posts() -> Iterator[bytes]:
    keys = api_keys()
    for number in numbers:
        body = {
            "external_id": f"http-{number}",
            "member": {"card": f"bench-{number * 7919 % MEMBERS}"},
            "amount": f"{100 + number % 900}.00",
            "category": "tea",
        }
        key = keys[number % BUSINESSES]
        raw = json.dumps(body).encode()
        yield request_bytes("POST", "/api/v1/transactions", raw, Authorization=f"Api-Key {key}")


@figure
def batch_purchase() -> Result:
    """Batches of 1,000 in the service, all rules on, beside batches of one statement."""
    people()

    def ours() -> float:
        batches = [
            [purchase(number, f"batch-{number}") for number in islice(numbers, BATCH_ROWS)]
            for _batch in range(BATCHES)
        ]
        started = time.perf_counter()
        for batch in batches:
            outcomes = record_many(batch, at=timezone.now())
            assert {outcome.status for outcome in outcomes} == {Status.CREATED}
        return BATCHES * BATCH_ROWS / (time.perf_counter() - started)

    def theirs() -> float:
        return median(yardstick.set_per_second(BATCH_ROWS) for _batch in range(BATCHES))

    ours()
    rates, set_based = alternate(ours, theirs)
    return of_yardstick(
        median(rates), set_based, unit="purchases/s", goal="≥ 1/2 of one set-based statement", least=1 / 2,
        note=f"batches of {BATCH_ROWS}, {MEMBERS} members",
    )  # fmt: skip


@figure
def import_purchases() -> Result:
    """A file of purchases, read, checked and recorded, beside one statement for as many rows."""
    people()
    with tempfile.TemporaryDirectory() as folder:

        def ours() -> float:
            path = _file(Path(folder))
            started = time.perf_counter()
            report = import_file(path)
            rate = IMPORT_ROWS / (time.perf_counter() - started)
            assert report.created == IMPORT_ROWS, report.by_code
            return rate

        rates, set_based = alternate(ours, lambda: yardstick.set_per_second(IMPORT_ROWS))
    return of_yardstick(
        median(rates), set_based, unit="purchases/s", goal="≥ 1/2 of one set-based statement", least=1 / 2,
        note=f"a file of {IMPORT_ROWS} lines, {MEMBERS} members",
    )  # fmt: skip


def _file(folder: Path) -> Path:
    at = timezone.now() - timedelta(days=2)
    path = folder / "purchases.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(FIELDS)
        for number in islice(numbers, IMPORT_ROWS):
            moment = at + timedelta(seconds=number % 80_000)
            lines.writerow(
                [
                    f"import-{number}", f"bench-{number * 7919 % MEMBERS}", f"BENCH{number % BUSINESSES}",
                    f"{100 + number % 900}.00", "tea", moment.isoformat(timespec="seconds"), "purchase", "",
                ]
            )  # fmt: skip
    return path


@figure
def hot_member() -> Result:
    """One member bought for by eight tills at once: each purchase waits for the one before it."""
    people()

    def ours() -> float:
        before = stored(source="crm")
        connection.close()
        context = multiprocessing.get_context("fork")
        until = time.time() + HOT_SECONDS
        tills = [context.Process(target=_buy, args=(until, number)) for number in range(HOT_CONNECTIONS)]
        for till in tills:
            till.start()
        for till in tills:
            till.join(timeout=HOT_SECONDS + 60)
        assert all(till.exitcode == 0 for till in tills)
        return (stored(source="crm") - before) / HOT_SECONDS

    def theirs() -> float | None:
        return yardstick.purchases_per_second(clients=HOT_CONNECTIONS, seconds=HOT_SECONDS, members=1)

    rates, pgbench = alternate(ours, theirs)
    rate = median(rates)
    ratio = rate / pgbench if pgbench else None
    note = f"{HOT_CONNECTIONS} processes call the service for one member"
    return Result(rate, "commits/s", "≥ 300 commits/s", rate >= 300, pgbench, ratio, note)


def _buy(until: float, till: int) -> None:
    started = time.time_ns()
    for number in count():
        if time.time() >= until:
            return
        request = purchase(till, f"hot-{till}-{started}-{number}", members=1, source="crm")
        record_purchase(request, at=timezone.now())
