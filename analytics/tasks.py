"""Celery entry points, under the given names. Each may be run again at any time."""

import logging

from celery import shared_task

from analytics.errors import ClickHouseUnavailable

from .services.sync import sync_facts

log = logging.getLogger(__name__)


@shared_task(name="sync_transactions_to_clickhouse")
def sync_transactions_to_clickhouse() -> None:
    """Carry purchases, ledger entries and registrations. A failure waits for the next beat."""
    try:
        carried = sync_facts()
    except ClickHouseUnavailable as error:
        log.error("Facts wait in PostgreSQL until the next run: %s", error.detail)
        raise
    for table in carried or ():
        log.info("Carried %d rows to %s in %.2f s.", table.rows, table.table, table.seconds)
