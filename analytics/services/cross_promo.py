"""The win-win matrix's numbers, rebuilt from PostgreSQL beside the old ones and swapped in by month."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, time

from django.db import connection as postgres
from django.utils import timezone

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.clickhouse.postgres_link import collection
from analytics.clickhouse.queries import read_query
from analytics.clickhouse.tables import connect_to_work, create_like, drop
from analytics.errors import SwapRefused

from .locks import only_one

log = logging.getLogger(__name__)

TARGET = "cross_promo_conversions"
STAGING = f"{TARGET}_staging"
# Months that are rebuilt: those that retention keeps whole.
MONTHS = 24


@dataclass(frozen=True)
class Aggregated:
    """Assignments counted, and the months (as 202611) whose numbers changed."""

    assignments: int
    months: tuple[int, ...]


def aggregate_cross_promo(*, at: datetime) -> Aggregated | None:
    """Bring every month of the last two years to what the chain assignments say now.

    All of them and not the latest alone: a refund undoes a conversion of months ago, and a member is counted
    on the day of the trigger when the chain's attribution days are over. Only months whose
    numbers differ are swapped, so a second run changes nothing. Return None when one is under way.

    Raises SwapRefused, and then the old numbers stand; ClickHouseUnavailable.
    """
    with only_one("cross_promo") as got:
        if not got:
            return None
        with connect_to_work() as clickhouse:
            result = _rebuild(clickhouse, since=_first_month(timezone.localdate(at)), at=at)
        log.info("Cross-promotion: %d assignments, months changed: %s.", result.assignments, result.months)
        return result


def _rebuild(clickhouse: Connection, *, since: date, at: datetime) -> Aggregated:
    zone = timezone.get_default_timezone()
    params = {
        "since": int(datetime.combine(since, time.min, zone).timestamp()),
        "since_date": since.isoformat(),
        "at": int(at.timestamp()),
        "zone": str(zone),
    }
    create_like(clickhouse, STAGING, model=TARGET)
    before = _count_assignments(since)
    clickhouse.run(read_query("cross_promo_fill", collection=collection()), params, limits=WORK_LIMITS)
    after = _count_assignments(since)
    rebuilt, current = (
        {
            month: (assignments, digest)
            for month, assignments, digest in clickhouse.run(
                read_query("cross_promo_months", table=table), params, limits=WORK_LIMITS
            ).rows
        }
        for table in (STAGING, TARGET)
    )
    assignments = sum(count for count, _ in rebuilt.values())
    # Purchases go on meanwhile, so the count may lie between the two looks at PostgreSQL.
    if not before <= assignments <= after:
        raise SwapRefused(
            f"{assignments} assignments were rebuilt, PostgreSQL holds {before} to {after}:"
            " nothing is swapped."
        )
    changed = sorted(
        month for month in rebuilt.keys() | current.keys() if rebuilt.get(month) != current.get(month)
    )
    for month in changed:
        if month in rebuilt:
            clickhouse.run(f"ALTER TABLE {TARGET} REPLACE PARTITION {month} FROM {STAGING}")
        else:
            # Only here may a month become empty: PostgreSQL has been asked and holds none.
            clickhouse.run(f"ALTER TABLE {TARGET} DROP PARTITION {month}")
    drop(clickhouse, STAGING)
    return Aggregated(assignments=assignments, months=tuple(changed))


def _count_assignments(since: date) -> int:
    """Count the rows of the export view, straight from the table below it."""
    with postgres.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM chain_assignments"
            " WHERE arm IN ('treatment', 'control') AND created_at >= %s",
            [datetime.combine(since, time.min, timezone.get_default_timezone())],
        )
        return int(cursor.fetchone()[0])


def _first_month(today: date) -> date:
    months = today.year * 12 + today.month - MONTHS
    return date(months // 12, months % 12 + 1, 1)
