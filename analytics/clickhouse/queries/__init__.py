"""The queries, one .sql file each, and the one builder of their scope."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone

NOBODY = UUID(int=0)  # IN () is no SQL; no business has this id.


@cache
def read_query(name: str, **parts: str) -> str:
    """Return `name`.sql; `{part}` in it is filled from `parts`, values stay `%(name)s` for the driver."""
    text = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8").strip()
    for part, sql in parts.items():
        text = text.replace("{" + part + "}", sql)
    return text


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


def rfm_params(snapshot_date: date, business_ids: Collection[UUID] | None) -> dict[str, Any]:
    """Return the parameters of the RFM of a day: the 365 local days before it."""
    return {
        "snapshot_date": snapshot_date.isoformat(),
        **local_days(snapshot_date - timedelta(days=365), snapshot_date),
        **scope(business_ids),
    }


def rfm_scores() -> str:
    return read_query("rfm_scores", rfm_members=read_query("rfm_members"))
