"""What of the pipeline programme staff must hear of, said once a day for each thing."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone

from analytics.models import Reconciliation
from loyalty.models import Member, Notification
from loyalty.services.messages import Message, queue

from .reconcile import Compared
from .sync import Stall


class Alert(StrEnum):
    """The message's template."""

    STALLED = "pipeline_stalled"
    REFUSED = "pipeline_refused"
    DIFFERS = "pipeline_differs"


def warn_of_stall(stall: Stall, *, at: datetime) -> int:
    """Say which process keeps its transaction open, so that purchases after it wait."""
    return _warn(
        Alert.STALLED,
        about=str(stall.pid),
        payload={"process": stall.pid, "minutes": int(stall.open_for.total_seconds()) // 60},
        at=at,
    )


def warn_of_refusal(reason: str, *, at: datetime) -> int:
    """Say that nothing is carried any more until someone refills ClickHouse."""
    return _warn(Alert.REFUSED, about="sync", payload={"reason": reason}, at=at)


def warn_of_differences(compared: list[Compared], *, at: datetime) -> int:
    """Say which months differed, and whether they were rebuilt."""
    return sum(
        _warn(
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


def _warn(alert: Alert, *, about: str, payload: dict[str, Any], at: datetime) -> int:
    staff = Member.objects.filter(
        is_active=True, is_staff=True, staff_memberships__business__is_programme=True
    ).distinct()
    return queue(
        Message(
            member_id=member_id,
            template=alert,
            payload=payload,
            purpose=Notification.Purpose.SERVICE,
            partner_id=None,
            dedupe_key=f"{alert}:{about}:{timezone.localdate(at)}:{member_id}",
            send_after=at,
        )
        for member_id in staff.values_list("pk", flat=True)
    )
