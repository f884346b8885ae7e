"""Where a business's systems are told: set up, changed, paused, resumed, removed."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.errors import WebhookRefused
from loyalty.models import Business, WebhookDelivery, WebhookEndpoint, WebhookEvent
from svoykrug.db.models import uuid7
from svoykrug.encryption import decrypt, encrypt
from svoykrug.outbound import Unreachable, target_of

from .signing import new_secret

MOST_ENDPOINTS = 10
OLD_SECRET_SIGNS_FOR = timedelta(hours=24)
ASKED_FOR = tuple(kind for kind in WebhookEvent.Type.values if kind != WebhookEvent.Type.TEST)
Status = WebhookEndpoint.Status

# What was missed since the endpoint last got something, oldest first.
CATCH_UP = """
    INSERT INTO webhook_deliveries (
        id, created_at, updated_at, event_id, endpoint_id, object_id, status, attempts, next_attempt_at,
        answer
    )
    SELECT uuid_v7(), %(at)s, %(at)s, e.id, %(endpoint)s, e.object_id, 'pending', 0, %(at)s, ''
    FROM webhook_events e
    WHERE e.business_id = %(business)s AND e.type = ANY(%(types)s) AND e.created_at >= %(since)s
    ON CONFLICT (event_id, endpoint_id) DO NOTHING
"""


@atomic
def add_endpoint(
    *, business: Business, url: str, events: Collection[str], description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """Return the endpoint and its secret, which is never shown again.

    Raises AddressRefused where the address is not one we connect to, WebhookRefused for anything else.
    """
    locked = _lock(business.pk)
    if WebhookEndpoint.objects.filter(business=locked).count() >= MOST_ENDPOINTS:
        raise WebhookRefused(_("A business may have at most %(count)d webhooks.") % {"count": MOST_ENDPOINTS})
    secret = new_secret()
    endpoint = WebhookEndpoint.objects.create(
        business=locked,
        url=_checked_url(url),
        description=description,
        events=_checked_events(events),
        secret=encrypt(secret),
    )
    _note(locked)
    return endpoint, secret


@atomic
def change_endpoint(
    endpoint_id: UUID,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
    description: str | None = None,
) -> WebhookEndpoint:
    """Change what is given. Raises as `add_endpoint` does."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    if url is not None:
        endpoint.url = _checked_url(url)
    if events is not None:
        endpoint.events = _checked_events(events)
    if description is not None:
        endpoint.description = description
    endpoint.save()
    return endpoint


@atomic
def pause(endpoint_id: UUID) -> WebhookEndpoint:
    """Send nothing until resumed; may be repeated."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    if endpoint.status == Status.ACTIVE:
        endpoint.status = Status.PAUSED
        endpoint.save(update_fields=["status", "updated_at"])
    return endpoint


@atomic
def resume(endpoint_id: UUID, *, missed_since: datetime | None, at: datetime) -> WebhookEndpoint:
    """Send again, first what happened since a moment; None leaves that out. May be repeated."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    endpoint.status, endpoint.failing_since = Status.ACTIVE, None
    endpoint.save(update_fields=["status", "failing_since", "updated_at"])
    WebhookDelivery.objects.filter(endpoint=endpoint, status=WebhookDelivery.Status.PENDING).update(
        next_attempt_at=at, attempts=0, updated_at=at
    )
    if missed_since is not None:
        with connection.cursor() as cursor:
            cursor.execute(
                CATCH_UP,
                {
                    "at": at,
                    "endpoint": endpoint.pk,
                    "business": endpoint.business_id,
                    "types": endpoint.events,
                    "since": missed_since,
                },
            )
    return endpoint


@atomic
def remove_endpoint(endpoint_id: UUID) -> None:
    """Forget the endpoint and its deliveries; may be repeated."""
    endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id).first()
    if endpoint:
        business = _lock(endpoint.business_id)
        endpoint.delete()
        _note(business)


@atomic
def change_secret(endpoint_id: UUID, *, at: datetime) -> str:
    """Return a new secret; for a day both sign, so that the receiver may change over in its own time."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    secret = new_secret()
    endpoint.old_secret, endpoint.old_secret_until = endpoint.secret, at + OLD_SECRET_SIGNS_FOR
    endpoint.secret = encrypt(secret)
    endpoint.save(update_fields=["secret", "old_secret", "old_secret_until", "updated_at"])
    return secret


def secrets_of(endpoint: WebhookEndpoint, *, at: datetime) -> list[str]:
    """Return the secrets that sign at that moment, the new one first."""
    found = [decrypt(endpoint.secret)]
    if endpoint.old_secret and endpoint.old_secret_until and endpoint.old_secret_until > at:
        found.append(decrypt(endpoint.old_secret))
    return found


@atomic
def ping(endpoint: WebhookEndpoint, *, at: datetime) -> WebhookDelivery:
    """Queue a test event for this endpoint alone."""
    event = WebhookEvent.objects.create(
        created_at=at,
        business_id=endpoint.business_id,
        type=WebhookEvent.Type.TEST,
        object_id=endpoint.pk,
        data={"endpoint": str(endpoint.pk)},
    )
    return _deliver(event, endpoint, at=at)


@atomic
def redeliver(delivery_id: UUID, *, at: datetime) -> WebhookDelivery:
    """Send an event once more, delivered before or given up; the receiver knows it by its id."""
    delivery = WebhookDelivery.objects.select_for_update().get(pk=delivery_id)
    delivery.status, delivery.attempts, delivery.next_attempt_at = WebhookDelivery.Status.PENDING, 0, at
    delivery.save(update_fields=["status", "attempts", "next_attempt_at", "updated_at"])
    return delivery


def _deliver(event: WebhookEvent, endpoint: WebhookEndpoint, *, at: datetime) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        id=uuid7(), created_at=at, event=event, endpoint=endpoint, object_id=event.object_id,
        next_attempt_at=at,
    )  # fmt: skip


def _lock(business_id: UUID) -> Business:
    return Business.with_sandboxes.select_for_update(no_key=True).get(pk=business_id)


def _note(business: Business) -> None:
    """Keep on the business's row whether anybody is to be told."""
    has = WebhookEndpoint.objects.filter(business=business).exists()
    Business.with_sandboxes.filter(pk=business.pk).exclude(has_webhooks=has).update(has_webhooks=has)


def _checked_url(url: str) -> str:
    try:
        target_of(url)
    except Unreachable as error:
        raise WebhookRefused(str(error), field="url") from error
    return url


def _checked_events(events: Collection[str]) -> list[str]:
    unknown = sorted(set(events) - set(ASKED_FOR))
    if unknown or not events:
        raise WebhookRefused(
            _("Choose among these events: %(events)s.") % {"events": ", ".join(ASKED_FOR)}, field="events"
        )
    return list(dict.fromkeys(events))
