"""What of the pipeline programme staff must hear of, said once a day for each thing."""

from datetime import datetime
from enum import StrEnum

from analytics.models import Reconciliation
from loyalty.services.staff_alerts import warn_staff

from .reconcile import Compared
from .sync import Stall


class Alert(StrEnum):
    """The message's template."""

    STALLED = "pipeline_stalled"
    REFUSED = "pipeline_refused"
    DIFFERS = "pipeline_differs"
    DISK_FULL = "pipeline_disk_full"


def warn_of_stall(stall: Stall, *, at: datetime) -> int:
    """Say which process keeps its transaction open, so that purchases after it wait."""
    return warn_staff(
        Alert.STALLED,
        about=str(stall.pid),
        payload={"process": stall.pid, "minutes": int(stall.open_for.total_seconds()) // 60},
        at=at,
    )


def warn_of_refusal(reason: str, *, at: datetime) -> int:
    """Say that nothing is carried any more until someone refills ClickHouse."""
    return warn_staff(Alert.REFUSED, about="sync", payload={"reason": reason}, at=at)


def warn_of_full_disk(reason: str, *, at: datetime) -> int:
    """Say that ClickHouse cannot write; facts wait in PostgreSQL."""
    return warn_staff(Alert.DISK_FULL, about="clickhouse", payload={"reason": reason}, at=at)


def warn_of_differences(compared: list[Compared], *, at: datetime) -> int:
    """Say which months differed, and whether they were rebuilt."""
    return sum(
        warn_staff(
            Alert.DIFFERS,
            about=f"{each.table}:{each.month}:{each.outcome}",
            payload={
                "table": each.table,
                "month": each.first_day.isoformat(),
                "outcome": each.outcome.value,
                "postgres_rows": each.postgres.rows,
                "clickhouse_rows": each.clickhouse.rows,
            },
            at=at,
        )
        for each in compared
        if each.outcome != Reconciliation.Outcome.EQUAL
    )
