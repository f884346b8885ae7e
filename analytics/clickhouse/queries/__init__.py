"""The queries, one .sql file each, and the one way for a reader to ask them, with a scope."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone

from analytics.clickhouse.client import ASK_LIMITS, connect
from analytics.errors import Unscoped
from analytics.segments import BY_SCORES

# A little more than a query may take: a server that hangs must not hold a page for minutes.
PATIENCE_SECONDS = 25
SCOPED = "%(everywhere)s OR"
NOBODY = UUID(int=0)  # IN () is no SQL; no business has this id.


@cache
def read_query(name: str, **parts: str) -> str:
    """Return `name`.sql; `{part}` in it is filled from `parts`, values stay `%(name)s` for the driver."""
    text = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8").strip()
    for part, sql in parts.items():
        text = text.replace("{" + part + "}", sql)
    return text


def ask(
    query: str, params: Mapping[str, Any], *, business_ids: Collection[UUID] | None
) -> Sequence[tuple[Any, ...]]:
    """Run a reader's query, narrowed to these businesses; None is the whole programme, [] is nothing.

    Whatever a page or an endpoint reads goes through here, so the scope has to be said each time.
    Raises Unscoped when businesses are given to a query that does not narrow by them;
    ClickHouseUnavailable.
    """
    if business_ids is not None and SCOPED not in query:
        raise Unscoped("The query does not narrow by businesses: it may be asked for the programme only.")
    with connect(silence_seconds=PATIENCE_SECONDS) as clickhouse:
        return clickhouse.run(query, {**params, **scope(business_ids)}, limits=ASK_LIMITS).rows


def scope(business_ids: Collection[UUID] | None) -> dict[str, Any]:
    """Return the parameters that narrow a query to these businesses; None is the whole programme."""
    return {
        "everywhere": int(business_ids is None),
        "business_ids": tuple(str(each) for each in business_ids or ()) or (str(NOBODY),),
    }


def local_days(start: date, end: date) -> dict[str, Any]:
    """Return the parameters of the local days [start, end): moments as seconds since 1970, and the zone."""
    zone = timezone.get_default_timezone()
    return {
        "from": int(datetime.combine(start, time.min, zone).timestamp()),
        "to": int(datetime.combine(end, time.min, zone).timestamp()),
        "zone": str(zone),
    }


def milliseconds(at: datetime) -> str:
    """Return a moment as a DateTime64(3, 'UTC') is compared with."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def rfm_params(snapshot_date: date, business_ids: Collection[UUID] | None) -> dict[str, Any]:
    """Return the parameters of the RFM of a day: the 365 local days before it.

    The segments are looked up: as conditions in the query they took ClickHouse longer to plan than to find.
    """
    return {
        "snapshot_date": snapshot_date.isoformat(),
        "segments": [segment.value for row in BY_SCORES for segment in row],
        **local_days(snapshot_date - timedelta(days=365), snapshot_date),
        **scope(business_ids),
    }


def rfm_scores() -> str:
    return read_query("rfm_scores", rfm_members=read_query("rfm_members"))
