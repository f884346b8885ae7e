"""Deliveries: tried until they are answered with 2xx, with growing pauses, for three days.

One process at a time delivers, with a thread for each endpoint, so a slow one delays nobody else.
Events of one object go out in their order: a later one waits while an earlier one is pending.
At least once: if we die after the answer and before noting it, it goes out again.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.transaction import atomic
from django.utils import timezone

from loyalty.models import (
    Member,
    Notification,
    StaffMembership,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from loyalty.services.messages import Message, queue
from svoykrug.failpoints import failpoint
from svoykrug.outbound import AddressRefused, Answer, Unreachable, post

from .endpoints import secrets_of
from .signing import signed_headers

log = logging.getLogger(__name__)

Status = WebhookDelivery.Status
# Pauses after each failed try: 3 days in all.
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 43200, 43200, 43200)
)
GONE = 410
KEPT = timedelta(days=30)
LOCK = 5_702_001  # PostgreSQL's advisory key of this job
WORKERS = 16
LOOK_EVERY_SECONDS = 0.5


def deliver_due(*, until: float) -> int | None:
    """Deliver what is due, and what falls due meanwhile, until `time.monotonic()` says so.

    Returns how many were delivered; None when another process is at it.
    """
    with _alone() as got:
        return _deliver_side_by_side(until) if got else None


def _deliver_side_by_side(until: float) -> int:
    delivered = 0
    working: dict[UUID, Future[int]] = {}
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        while True:
            for endpoint_id in [pk for pk, work in working.items() if work.done()]:
                delivered += working.pop(endpoint_id).result()
            if time.monotonic() < until:
                for endpoint_id in _endpoints_due():
                    if endpoint_id not in working:
                        working[endpoint_id] = pool.submit(_work_on, endpoint_id, until=until)
            if not working:
                return delivered
            wait(working.values(), timeout=LOOK_EVERY_SECONDS, return_when=FIRST_COMPLETED)


def _endpoints_due() -> list[UUID]:
    return list(_due(at=timezone.now()).values_list("endpoint", flat=True).order_by().distinct())


def _work_on(endpoint_id: UUID, *, until: float) -> int:
    """Deliver what one endpoint is due, in a thread of its own."""
    delivered = 0
    try:
        while time.monotonic() < until:
            delivery = _due(at=timezone.now()).filter(endpoint=endpoint_id).order_by("event").first()
            if delivery is None:
                break
            delivered += deliver(delivery.pk)
    except Exception:
        # One endpoint's trouble must not stop the others; the next run tries again.
        log.exception("Deliveries to webhook %s stopped.", endpoint_id)
        time.sleep(LOOK_EVERY_SECONDS)
    finally:
        connection.close()
    return delivered


def deliver(delivery_id: UUID) -> bool:
    """Try one delivery and note what came. Returns whether it was delivered.

    Nothing is locked while the receiver is asked.
    """
    delivery = WebhookDelivery.objects.select_related("event", "endpoint").get(pk=delivery_id)
    at = timezone.now()
    event = delivery.event
    body = orjson.dumps({"type": event.type, "timestamp": event.created_at, "data": event.data})
    headers = {"Content-Type": "application/json", "User-Agent": "svoykrug-webhooks"}
    headers |= signed_headers(
        secrets_of(delivery.endpoint, at=at), message_id=str(event.pk), body=body, at=at
    )
    answer, trouble = None, ""
    try:
        answer = post(delivery.endpoint.url, body, headers, seconds=settings.WEBHOOK_SECONDS)
    except (AddressRefused, Unreachable) as error:
        trouble = str(error)
    failpoint("webhook-after-answer")
    return _note(delivery, answer, trouble, at=timezone.now())


@atomic
def _note(delivery: WebhookDelivery, answer: Answer | None, trouble: str, *, at: datetime) -> bool:
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=delivery.endpoint_id).first()
    if endpoint is None:
        return False
    delivery.attempts += 1
    delivery.answer_status = answer.status if answer else None
    delivery.answer = answer.body if answer else trouble
    if answer and answer.ok:
        delivery.status, delivery.delivered_at = Status.DELIVERED, at
        endpoint.failing_since, endpoint.last_success_at = None, at
    else:
        endpoint.failing_since = endpoint.failing_since or at
        if delivery.attempts > len(PAUSES) or (answer and answer.status == GONE):
            delivery.status = Status.FAILED
            _switch_off(endpoint, at=at)
        else:
            delivery.next_attempt_at = at + PAUSES[delivery.attempts - 1]
    endpoint.save(update_fields=["failing_since", "last_success_at", "status", "updated_at"])
    delivery.save(
        update_fields=[
            "attempts", "answer_status", "answer", "status", "delivered_at", "next_attempt_at", "updated_at",
        ]
    )  # fmt: skip
    return delivery.status == Status.DELIVERED


def _switch_off(endpoint: WebhookEndpoint, *, at: datetime) -> None:
    """Send no more, and tell the business's owners."""
    if endpoint.status != WebhookEndpoint.Status.ACTIVE:
        return
    endpoint.status = WebhookEndpoint.Status.FAILING
    owners = Member.objects.filter(
        staff_memberships__business=endpoint.business_id, staff_memberships__role=StaffMembership.Role.OWNER
    )
    queue(
        Message(
            member_id=owner,
            template="webhook_failing",
            payload={"url": endpoint.url, "since": str(endpoint.failing_since)},
            purpose=Notification.Purpose.SERVICE,
            partner_id=endpoint.business_id,
            dedupe_key=f"webhook:{endpoint.pk}:{owner}:{endpoint.failing_since:%Y%m%d%H%M%S}",
            send_after=at,
        )
        for owner in owners.values_list("pk", flat=True)
    )


def _due(*, at: datetime) -> QuerySet[WebhookDelivery]:
    """Return deliveries to try now: of each object the earliest that is pending, if its pause is over."""
    pending = WebhookDelivery.objects.filter(status=Status.PENDING)
    earlier = pending.filter(
        endpoint=OuterRef("endpoint"), object_id=OuterRef("object_id"), event__lt=OuterRef("event")
    )
    return pending.filter(
        ~Exists(earlier), next_attempt_at__lte=at, endpoint__status=WebhookEndpoint.Status.ACTIVE
    )


@contextmanager
def _alone() -> Iterator[bool]:
    """Yield whether this process may deliver: one at a time does, and a dead one's turn ends with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def forget_old_events(*, at: datetime) -> int:
    """Delete events and their deliveries after a month. Returns how many events."""
    with atomic():
        old = WebhookEvent.objects.filter(created_at__lt=at - KEPT)
        WebhookDelivery.objects.filter(event__in=old).delete()
        return old.delete()[0]
