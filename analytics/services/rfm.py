"""The RFM snapshot of a day: scored inside ClickHouse, its cut-points kept in PostgreSQL."""

import logging
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.clickhouse.postgres_link import collection
from analytics.clickhouse.queries import read_query, rfm_params, rfm_scores
from analytics.clickhouse.tables import connect_to_work
from analytics.models import RfmRun
from analytics.selectors import freshness
from promos.services import segments

from .locks import only_one

log = logging.getLogger(__name__)

EARLIER = (
    "rfm_snapshots WHERE snapshot_date = toDate(%(snapshot_date)s)"
    " AND calculated_at < toDateTime64(%(calculated_at)s, 3, 'UTC')"
)


def calculate_rfm(*, snapshot_date: date, at: datetime) -> RfmRun | None:
    """Write the snapshot of a day and its run; again for the same day replaces it.

    snapshot_date  purchases of the 365 local days before it are looked at
    at             the moment of calculation; a later one wins

    Return None when another calculation is under way. Raises ClickHouseUnavailable.
    """
    with only_one("rfm") as got:
        if not got:
            return None
        # ClickHouse keeps milliseconds; the row must read back as it was written.
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        as_of = freshness().as_of
        with connect_to_work() as clickhouse:
            return _calculate(clickhouse, snapshot_date, at.astimezone(UTC), as_of)


def _calculate(clickhouse: Connection, snapshot_date: date, at: datetime, as_of: datetime | None) -> RfmRun:
    params = rfm_params(snapshot_date, None) | {"calculated_at": f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3]}
    clickhouse.run(read_query("rfm_store", rfm_scores=rfm_scores()), params, limits=WORK_LIMITS)
    [(members, *cuts)] = clickhouse.run(read_query("rfm_cuts"), params, limits=WORK_LIMITS).rows
    recency, frequency, monetary = cuts if members else ([], [], [])
    run, _ = RfmRun.objects.update_or_create(
        snapshot_date=snapshot_date,
        defaults={
            "calculated_at": at,
            "members": members,
            "recency_cuts": recency,
            "frequency_cuts": frequency,
            "monetary_cuts": monetary,
            "as_of": as_of,
        },
    )
    # Whoever was in the day's earlier snapshot and is not in this one (a late refund) must go. Asked
    # first, for most days have no earlier one and a DELETE looks into every part.
    if clickhouse.run(f"SELECT 1 FROM {EARLIER} LIMIT 1", params, limits=WORK_LIMITS).rows:  # noqa: S608
        clickhouse.run(f"DELETE FROM {EARLIER}", params, limits=WORK_LIMITS)  # noqa: S608
    if not RfmRun.objects.filter(snapshot_date__gt=snapshot_date).exists():
        segments.store(_changes(clickhouse, params), snapshot_date=snapshot_date)
    log.info("RFM of %s: %d members.", snapshot_date, members)
    return run


def _changes(clickhouse: Connection, params: dict[str, Any]) -> list[tuple[UUID, str]]:
    """Return member and segment where the snapshot just taken says another than PostgreSQL keeps."""
    query = read_query("segment_changes", collection=collection())
    return [(member, now) for member, now, _ in clickhouse.run(query, params, limits=WORK_LIMITS).rows]
