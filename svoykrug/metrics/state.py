"""The state of the programme and its pipeline, asked at the scrape: counts and ages, nobody's data."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from uuid import UUID

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from analytics.services.sync import FACTS
from svoykrug.health import OK, ask_servers
from svoykrug.redis_client import queue_client

from .jobs import FAILED, SUCCEEDED, last_times

PREFIX = "svoykrug_"
QUEUE = "celery"
RECENT = timedelta(minutes=5)
# Several who scrape, or one who scrapes often, cost the database no more than this.
KEPT_SECONDS = 5

# Name → what it says, names of its labels. Those of state.sql, and the rest below them.
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "webhook_deliveries_pending": ("Deliveries to webhooks that are on their way", ()),
    "webhook_oldest_pending_seconds": ("Age of the oldest delivery that is on its way", ()),
    "webhook_endpoints_failing": ("Webhooks switched off because they did not answer", ()),
    "notifications_due": ("Queued messages whose time has come", ("channel",)),
    "notifications_oldest_due_seconds": ("How long the first of them has been due", ("channel",)),
    "crm_messages_due": ("Messages of CRMs that wait to be applied", ()),
    "parked_refunds": ("Refunds that wait for their purchase", ()),
    "parked_refunds_overdue": ("Those that wait for longer than PARKED_REFUND_DAYS", ()),
    "recent_purchases": ("Purchases and refunds recorded in the last five minutes", ("kind", "source")),
    "sync_age_seconds": ("Since the last window of facts was carried to ClickHouse", ("table",)),
    "sync_last_window_rows": ("Rows of that window", ("table",)),
    "sync_windows_unacknowledged": ("Windows planned and not yet acknowledged by ClickHouse", ()),
    "sync_horizon_held_seconds": ("Age of the oldest writing transaction: later rows wait for it", ()),
    "reconciliation_months_differing": ("Months that differ from PostgreSQL as last compared", ("table",)),
    "reconciliation_age_seconds": ("Since facts were compared with PostgreSQL", ()),
    "job_scheduled": ("1 for each job that the schedule starts", ("job",)),
    "server_up": ("Whether the server answers: 1 or 0", ("server",)),
    "celery_queue_length": ("Jobs that wait for a worker", ("queue",)),
    "job_last_success_timestamp_seconds": ("When the job last ended well", ("job",)),
    "job_last_failure_timestamp_seconds": ("When the job last failed", ("job",)),
}
Value = tuple[str, tuple[str, ...], float]

_statement = (Path(__file__).parent / "state.sql").read_text(encoding="utf-8")
_lock = Lock()
_kept: tuple[float, bytes] = (float("-inf"), b"")


def state_text() -> bytes:
    """Return the gauges in Prometheus' text format, no older than a few seconds."""
    global _kept
    with _lock:
        if time.monotonic() - _kept[0] > KEPT_SECONDS:
            registry = CollectorRegistry()
            registry.register(State())
            _kept = time.monotonic(), generate_latest(registry)
        return _kept[1]


class State(Collector):
    """What is away is left out, and `server_up` says so."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {
            name: GaugeMetricFamily(PREFIX + name, words, labels=labels)
            for name, (words, labels) in GAUGES.items()
        }
        for name, labels, value in _values(timezone.now()):
            families[name].add_metric(labels, value)
        return [family for family in families.values() if family.samples]

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []


def _values(at: datetime) -> Iterator[Value]:
    up = ask_servers()
    for server, answer in up.items():
        yield "server_up", (server,), float(answer == OK)
    if up["postgresql"] == OK:
        yield from _of_postgresql(at)
    if up["redis"] == OK:
        yield from _of_redis()


def _of_postgresql(at: datetime) -> list[Value]:
    parameters = {
        "parked_days": settings.PARKED_REFUND_DAYS,
        "recent": _first_key_at(at - RECENT),
        "facts": list(FACTS),
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(_statement, parameters)
            return [(name, tuple(labels), float(value)) for name, labels, value in cursor.fetchall()]
    except DatabaseError:
        return []


def _of_redis() -> list[Value]:
    try:
        values: list[Value] = [("celery_queue_length", (QUEUE,), float(queue_client().llen(QUEUE)))]  # type: ignore[arg-type]
        for name, key in (("success", SUCCEEDED), ("failure", FAILED)):
            moments = last_times(key).items()
            values += [(f"job_last_{name}_timestamp_seconds", (job,), moment) for job, moment in moments]
    except redis.RedisError:
        return []
    return values


def _first_key_at(at: datetime) -> UUID:
    """Return the least UUID of version 7 that could be made at that moment."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))
