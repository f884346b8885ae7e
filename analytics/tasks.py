"""Celery entry points, under the given names. Each may be run again at any time.

A task that meets no ClickHouse fails with one line in the log; the next beat takes up where it stopped.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.utils import timezone

from analytics.errors import ClickHouseFull, ClickHouseUnavailable, SyncRefused

from .services.alerts import warn_of_differences, warn_of_full_disk, warn_of_refusal, warn_of_stall
from .services.cross_promo import aggregate_cross_promo
from .services.forecasts import forecast_customers
from .services.reconcile import Months, reconcile
from .services.rfm import calculate_rfm
from .services.sync import stall, sync_facts

log = logging.getLogger(__name__)


@shared_task(name="sync_transactions_to_clickhouse")
def sync_transactions_to_clickhouse() -> None:
    """Carry purchases, ledger entries and registrations; tell programme staff what stands in the way."""
    if stalled := stall():
        log.warning("Process %s has held its transaction open for %s.", stalled.pid, stalled.open_for)
        warn_of_stall(stalled, at=timezone.now())
    with _refusal_told(), _outage_logged("Facts wait in PostgreSQL until the next run"):
        for table in sync_facts() or ():
            log.info("Carried %d rows to %s in %.2f s.", table.rows, table.table, table.seconds)


@shared_task(name="calculate_rfm_snapshots")
def calculate_rfm_snapshots() -> None:
    """Take today's snapshot."""
    with _outage_logged("The snapshot was not taken; run `manage.py rfm` when ClickHouse is back"):
        calculate_rfm(snapshot_date=timezone.localdate(), at=timezone.now())


@shared_task(name="forecast_customers")
def forecast_customers_nightly() -> None:
    """Foretell who comes back, of the programme and of each business."""
    with _outage_logged("Forecasts stay as they were; run `manage.py forecast` when ClickHouse is back"):
        forecast_customers(until=timezone.localdate(), at=timezone.now())


@shared_task(name="aggregate_cross_promo_conversions")
def aggregate_cross_promo_conversions() -> None:
    """Rebuild the win-win matrix's numbers."""
    with _outage_logged("The matrix keeps its old numbers until the next run"):
        aggregate_cross_promo(at=timezone.now())


@shared_task(name="reconcile_current_month")
def reconcile_current_month() -> None:
    """Compare the month under way with PostgreSQL, and heal it."""
    _reconcile(Months.CURRENT)


@shared_task(name="reconcile_closed_months")
def reconcile_closed_months() -> None:
    """Compare the months before, as far as they are kept: late rows and refunds reach them too."""
    _reconcile(Months.CLOSED)


def _reconcile(months: Months) -> None:
    at = timezone.now()
    with _refusal_told(), _outage_logged("The facts were not compared; the next run does it"):
        if (compared := reconcile(at=at, months=months, heal=True)) is None:
            log.warning("A sync ran for too long: the facts were not compared.")
            return
        warn_of_differences(compared, at=at)


@contextmanager
def _refusal_told() -> Iterator[None]:
    try:
        yield
    except SyncRefused as refused:
        log.error("%s", refused.detail)
        warn_of_refusal(refused.detail, at=timezone.now())
        raise


@contextmanager
def _outage_logged(consequence: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseUnavailable as error:
        log.error("%s: %s", consequence, error.detail)
        if isinstance(error, ClickHouseFull):
            warn_of_full_disk(error.detail, at=timezone.now())
        raise
