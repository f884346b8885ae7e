"""The queue of messages to members, behind the gate of consents.

Service messages pass. Advertising is asked for twice: when it is queued, in the statement that
queues it, and again right before it leaves (`sendable`). So no lock is needed against a withdrawal:
one that comes between the two stops the message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from loyalty.models import Notification
from loyalty.quiet_hours import next_waking_moment
from svoykrug.db.sql import Write, in_columns, read, table_of

from .consents import ADVERTISABLE, may_advertise

NO_CONSENT = "no_consent"
MESSAGES_AT_ONCE = 5000

_COLUMNS = {
    "user_id": "uuid", "template": "text", "payload": "jsonb", "purpose": "text", "partner_id": "uuid",
    "dedupe_key": "text", "channel": "text", "send_after": "timestamptz",
}  # fmt: skip
_AGREED = ADVERTISABLE.format(member="r.user_id", channel="r.channel", partner="r.partner_id")
_QUEUE = f"""
    INSERT INTO notifications (
        id, created_at, updated_at, attempts, status, last_error, {", ".join(_COLUMNS)}
    )
    SELECT uuid_v7(), statement_timestamp(), statement_timestamp(), 0,
        CASE WHEN passes THEN 'queued' ELSE 'suppressed' END,
        CASE WHEN passes THEN '' ELSE '{NO_CONSENT}' END,
        {", ".join(_COLUMNS)}
    FROM (SELECT r.*, r.purpose = 'service' OR {_AGREED} AS passes FROM {{rows}}) messages
    -- Those of sandboxes are nobody.
    WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = messages.user_id AND u.is_sandbox)
    ON CONFLICT (dedupe_key) DO NOTHING
"""  # noqa: S608  our own text


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a member.

    payload     what the template needs, JSON-ready
    purpose     `service` or `advertising`, the latter of `partner_id`, or of the programme if null
    dedupe_key  of messages with the same key only the first is ever queued
    send_after  when it may leave at the soonest; quiet hours put it off
    """

    member_id: UUID
    template: str
    payload: dict[str, Any]
    purpose: str
    partner_id: UUID | None
    dedupe_key: str
    send_after: datetime
    channel: str = Notification.Channel.INAPP


def queue(messages: Iterable[Message]) -> int:
    """Queue messages; return how many will go out, known ones and those without consent not counted.

    Advertising that the member does not consent to is kept as suppressed. May be called again with
    the same messages, and at once.
    """
    statement = f"{_QUEUE.format(rows=table_of(_COLUMNS))} RETURNING status"
    queued, rest = 0, iter(messages)
    while some := list(islice(rest, MESSAGES_AT_ONCE)):
        [answers] = read((statement, [in_columns(_COLUMNS, [_row(message) for message in some])]))
        queued += sum(status == Notification.Status.QUEUED for (status,) in answers)
    return queued


def queue_within(write: Write, messages: Iterable[Message]) -> None:
    """Let a statement that writes other rows queue messages too; the same gate, nothing is counted."""
    write.add(_QUEUE, _COLUMNS, [_row(message) for message in messages])


def sendable(notification: Notification) -> bool:
    """Return whether the message may leave now; whoever delivers asks right before."""
    if notification.purpose == Notification.Purpose.SERVICE:
        return True
    return bool(
        may_advertise(
            [notification.member_id], channel=notification.channel, partner_id=notification.partner_id
        )
    )


def _row(message: Message) -> dict[str, Any]:
    return {
        "user_id": message.member_id,
        "template": message.template,
        "payload": message.payload,
        "purpose": message.purpose,
        "partner_id": message.partner_id,
        "dedupe_key": message.dedupe_key,
        "channel": message.channel,
        "send_after": next_waking_moment(message.send_after),
    }
