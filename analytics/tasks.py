"""Celery entry points, under the given names. Each may be run again at any time.

A task that meets no ClickHouse fails with one line in the log; the next beat takes up where it stopped.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.utils import timezone

from analytics.errors import ClickHouseUnavailable

from .services.cross_promo import aggregate_cross_promo
from .services.rfm import calculate_rfm
from .services.sync import sync_facts

log = logging.getLogger(__name__)


@shared_task(name="sync_transactions_to_clickhouse")
def sync_transactions_to_clickhouse() -> None:
    """Carry purchases, ledger entries and registrations."""
    with _outage_logged("Facts wait in PostgreSQL until the next run"):
        for table in sync_facts() or ():
            log.info("Carried %d rows to %s in %.2f s.", table.rows, table.table, table.seconds)


@shared_task(name="calculate_rfm_snapshots")
def calculate_rfm_snapshots() -> None:
    """Take today's snapshot."""
    with _outage_logged("The snapshot was not taken; run `manage.py rfm` when ClickHouse is back"):
        calculate_rfm(snapshot_date=timezone.localdate(), at=timezone.now())


@shared_task(name="aggregate_cross_promo_conversions")
def aggregate_cross_promo_conversions() -> None:
    """Rebuild the win-win matrix's numbers."""
    with _outage_logged("The matrix keeps its old numbers until the next run"):
        aggregate_cross_promo(at=timezone.now())


@contextmanager
def _outage_logged(consequence: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseUnavailable as error:
        log.error("%s: %s", consequence, error.detail)
        raise
