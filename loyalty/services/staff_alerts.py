"""What people of the programme must hear of, said once a day for each thing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone

from loyalty.models import Member, Notification

from .messages import Message, queue
from .verification import Finding

LEDGER_WRONG = "ledger_wrong"


def warn_staff(template: str, *, about: str, payload: dict[str, Any], at: datetime) -> int:
    """Queue a message to everybody of the programme who works; return how many were queued.

    about  what it is about: the same is not said again on the same day
    """
    staff = Member.objects.filter(
        is_active=True, is_staff=True, staff_memberships__business__is_programme=True
    ).distinct()
    return queue(
        Message(
            member_id=member_id,
            template=template,
            payload=payload,
            purpose=Notification.Purpose.SERVICE,
            partner_id=None,
            dedupe_key=f"{template}:{about}:{timezone.localdate(at)}:{member_id}",
            send_after=at,
        )
        for member_id in staff.values_list("pk", flat=True)
    )


def warn_of_wrong_rows(findings: Iterable[Finding], *, at: datetime) -> int:
    """Say which rules of the ledger do not hold, for how many rows, and name the first row of each."""
    rules = [
        {
            "rule": each.check.rule,
            "wrong": each.wrong,
            "table": each.check.table,
            "first": each.first.row_id if each.first else None,
        }
        for each in findings
    ]
    return warn_staff(LEDGER_WRONG, about="verify_ledger", payload={"rules": rules}, at=at)
