"""Events are written by the statement in which they happen, with a delivery for each endpoint that asked.

Whoever has a business's row at hand sees by `businesses.has_webhooks` that nobody is to be told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write

EVENTS = {
    "id": "uuid", "created_at": "timestamptz", "business_id": "uuid", "type": "text", "object_id": "uuid",
    "data": "jsonb",
}  # fmt: skip
# Only where somebody is to be told, whoever publishes.
STORE = """
    INSERT INTO webhook_events (id, created_at, business_id, type, object_id, data)
    SELECT id, created_at, business_id, type, object_id, data FROM {rows}
    WHERE EXISTS (SELECT FROM webhook_endpoints e WHERE e.business_id = r.business_id)
"""
DELIVERIES = """
    INSERT INTO webhook_deliveries (
        id, created_at, updated_at, event_id, endpoint_id, object_id, status, attempts, next_attempt_at,
        answer
    )
    SELECT uuid_v7(), r.created_at, r.created_at, r.id, e.id, r.object_id, 'pending', 0, r.created_at, ''
    FROM {rows} JOIN webhook_endpoints e
        ON e.business_id = r.business_id AND e.status = 'active' AND r.type = ANY(e.events)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell a business's own systems.

    object_id  what it happened to: events of one object arrive in the order in which they are written
    data       JSON-ready; money as strings, times ISO 8601
    """

    business_id: UUID
    type: str
    object_id: UUID
    data: dict[str, Any]
    id: UUID = field(default_factory=uuid7)


def publish(write: Write, events: Iterable[Event], *, at: datetime) -> None:
    """Add events of businesses that have endpoints to a statement that writes what they tell of."""
    rows = [
        {
            "id": event.id, "created_at": at, "business_id": event.business_id, "type": event.type,
            "object_id": event.object_id, "data": event.data,
        }
        for event in events
    ]  # fmt: skip
    write.add(STORE, EVENTS, rows)
    write.add(DELIVERIES, EVENTS, rows)
