"""Stored messages become purchases and refunds: at once, or by the schedule, and exactly once.

The message is marked in the very transaction that records what it tells, so a worker that dies leaves
both or neither. Each try takes the message for a while first: one that kills its worker does not come
back for ever.
"""

import logging
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.models import CrmIntegration, CrmMessage
from promos.services.checkout import record_many
from promos.services.purchases import Outcome, Request, Status
from svoykrug.failpoints import failpoint
from svoykrug.problems import safe_text

from .errors import MappingRefused, Unreadable
from .mapping import read_mapping
from .reading import Event, Told, parse, read_events
from .requests import Settled, requests_of

log = logging.getLogger(__name__)

MessageStatus = CrmMessage.Status
# After each try that did not end; then somebody has to look.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 300, 900, 3600, 3600, 14_400, 43_200))
PARKED_PAUSE = timedelta(hours=1)
KEPT_DONE, KEPT_FAILED = timedelta(days=30), timedelta(days=90)
DONE = (MessageStatus.APPLIED, MessageStatus.DUPLICATE, MessageStatus.SKIPPED)
TOLD_IN_ERROR = 3
FORGET_AT_ONCE = 5_000
Result = dict[str, Any]


def apply_message(message_id: UUID, *, at: datetime) -> str | None:
    """Apply a message that is due. Returns its status; None if it is not due or another has it."""
    if not _take(message_id, at):
        return None
    with atomic():
        message = (
            CrmMessage.objects.select_for_update(of=("self",))
            .select_related("integration__business")
            .get(pk=message_id)
        )
        if message.next_attempt_at is None:
            return None  # Another was slow, and done in the meantime.
        _apply(message, at)
        message.save(
            update_fields=["status", "error", "next_attempt_at", "reference", "results", "updated_at"]
        )
        _note(message)
        failpoint("crm-before-commit")
    return message.status


def apply_due(*, until: float) -> int:
    """Apply what is due, oldest first, until `time.monotonic()` says so. Returns how many."""
    applied = 0
    while time.monotonic() < until:
        at = timezone.now()
        due = CrmMessage.objects.filter(next_attempt_at__lte=at).order_by("next_attempt_at", "id")
        message_ids = list(due.values_list("pk", flat=True)[:200])
        if not message_ids:
            break
        for message_id in message_ids:
            if time.monotonic() >= until:
                break
            try:
                applied += apply_message(message_id, at=at) is not None
            except Exception:
                # One message's trouble must not stop the others; it was put off when it was taken.
                log.exception("CRM message %s could not be applied.", message_id)
    return applied


def replay(messages: QuerySet[CrmMessage], *, at: datetime) -> list[UUID]:
    """Let messages be applied again, by the mapping as it is now. Returns their ids."""
    message_ids = list(messages.order_by("id").values_list("pk", flat=True))
    CrmMessage.objects.filter(pk__in=message_ids).update(
        status=MessageStatus.RECEIVED, attempts=0, next_attempt_at=at, updated_at=at
    )
    return message_ids


def forget_old_messages(*, at: datetime) -> int:
    """Delete what is done after a month and what nobody mended after three; they hold people's data."""
    old = CrmMessage.objects.filter(status__in=DONE, created_at__lt=at - KEPT_DONE)
    old = old | CrmMessage.objects.filter(created_at__lt=at - KEPT_FAILED)
    forgotten = 0
    while message_ids := list(old.values_list("pk", flat=True)[:FORGET_AT_ONCE]):
        forgotten += CrmMessage.objects.filter(pk__in=message_ids).delete()[0]
    return forgotten


def _take(message_id: UUID, at: datetime) -> bool:
    due = CrmMessage.objects.filter(pk=message_id, next_attempt_at__lte=at)
    attempts = due.values_list("attempts", flat=True).first()
    if attempts is None:
        return False
    pause = PAUSES[min(attempts, len(PAUSES) - 1)]
    # Of two that want it at once only one finds the count as it read it.
    return bool(due.filter(attempts=attempts).update(attempts=F("attempts") + 1, next_attempt_at=at + pause))


def _apply(message: CrmMessage, at: datetime) -> None:
    message.next_attempt_at = None
    if message.status == MessageStatus.RECEIVED and message.attempts > len(PAUSES):
        message.status = MessageStatus.FAILED
        message.error = _("It could not be applied in %(tries)d tries. Tell the programme.") % {
            "tries": len(PAUSES)
        }
        return
    try:
        events = events_of(bytes(message.body), message.integration)
    except (MappingRefused, Unreadable) as fault:
        message.status, message.error, message.results = MessageStatus.FAILED, safe_text(fault), []
        return
    before = {each["external_id"]: each["status"] for each in message.results if each.get("external_id")}
    message.results = results_of(events, message.integration, before, at=at)
    message.reference = _reference(message.results)
    message.status, message.error = _outcome(message.results)
    if message.status == MessageStatus.PARKED:
        if at - message.created_at > timedelta(days=settings.PARKED_REFUND_DAYS):
            message.status = MessageStatus.FAILED
            message.error = _("The purchase that is given back has not come in %(days)d days.") % {
                "days": settings.PARKED_REFUND_DAYS
            }
        else:
            message.next_attempt_at = at + PARKED_PAUSE


def events_of(body: bytes, integration: CrmIntegration) -> list[Event]:
    """Return what a message tells by the integration's mapping. Raises MappingRefused or Unreadable."""
    mapping = read_mapping(integration.mapping, zone=ZoneInfo(settings.TIME_ZONE))
    return read_events(parse(body), mapping)


def results_of(
    events: list[Event], integration: CrmIntegration, before: dict[str, str], *, at: datetime
) -> list[Result]:
    """Record what the events tell, each standing alone. Returns what came of each.

    before  what the same message brought when it was applied earlier, by receipt
    """
    wanted = requests_of(events, integration.business)
    requests: list[Request] = [each for each in wanted if not isinstance(each, Settled)]
    outcomes = iter(record_many(requests, at=at) if requests else [])
    return [
        _settled(event, each) if isinstance(each, Settled) else _recorded(event, next(outcomes), before)
        for event, each in zip(events, wanted, strict=True)
    ]


def _settled(event: Event, settled: Settled) -> Result:
    return _result(event, settled.status, settled.transaction, settled.code, settled.detail)


def _recorded(event: Event, outcome: Outcome, before: dict[str, str]) -> Result:
    status: str = outcome.status.value
    transaction = str(outcome.transaction_id) if outcome.transaction_id else None
    if outcome.status is Status.DUPLICATE:
        earlier = before.get(event.external_id)
        # Its own work of an earlier try, or a refund that waited and has been applied since.
        if transaction and earlier in ("created", "parked"):
            status = "created"
        elif not transaction and earlier == "parked":
            status = "parked"
    error = outcome.error
    # A refund of somebody who is no member, of a purchase that we therefore do not have.
    if error and error.code == "member_not_found" and isinstance(event, Told) and (event.phone or event.card):
        return _result(event, "skipped", None, error.code, _("The customer is no member of the circle."))
    return _result(event, status, transaction, error.code if error else "", error.detail if error else "")


def _result(event: Event, status: str, transaction: str | None, code: str, detail: str) -> Result:
    return {
        "kind": event.kind if isinstance(event, Told) else "",
        "external_id": safe_text(event.external_id).replace("\x00", "\ufffd"),
        "status": status,
        "transaction": transaction,
        "code": code,
        "detail": safe_text(detail).replace("\x00", "\ufffd"),
    }


def _reference(results: list[Result]) -> str:
    named = list(dict.fromkeys(result["external_id"] for result in results if result["external_id"]))
    text = ", ".join(named)
    return text if len(text) <= 200 else text[:199] + "…"


def _outcome(results: list[Result]) -> tuple[str, str]:
    """Return the message's status and, if somebody has to do something, what."""
    by_status: dict[str, list[Result]] = {}
    for result in results:
        by_status.setdefault(result["status"], []).append(result)
    if refused := by_status.get("rejected"):
        told = [" ".join(filter(None, [each["external_id"], each["detail"]])) for each in refused]
        more = len(told) - TOLD_IN_ERROR
        text = " ".join(told[:TOLD_IN_ERROR]) + (
            " " + _("And %(count)d more.") % {"count": more} if more > 0 else ""
        )
        return MessageStatus.FAILED, text
    for status, whole in (
        ("parked", MessageStatus.PARKED),
        ("created", MessageStatus.APPLIED),
        ("duplicate", MessageStatus.DUPLICATE),
    ):
        if status in by_status:
            return whole, ""
    return MessageStatus.SKIPPED, ""


def _note(message: CrmMessage) -> None:
    """Keep the last trouble with the integration until a message goes through again."""
    if message.status in (MessageStatus.SKIPPED, MessageStatus.DUPLICATE):
        return
    error = message.error if message.status == MessageStatus.FAILED else ""
    own = CrmIntegration.objects.filter(pk=message.integration_id)
    own.exclude(last_error=error).update(last_error=error)
