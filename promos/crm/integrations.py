"""A business's CRM integration: set up, its secret changed, messages let in, refused ones counted."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.db.models import Q
from django.db.transaction import atomic
from redis import RedisError

from loyalty.models import CrmIntegration, CrmMessage
from loyalty.services.webhooks.signing import new_secret
from svoykrug.db.models import uuid7
from svoykrug.encryption import decrypt, encrypt
from svoykrug.redis_client import redis_client

from .signature import check_signature

OLD_SECRET_ACCEPTED_FOR = timedelta(hours=24)
SEEN_KEPT_EVERY = timedelta(minutes=1)
REFUSED_KEPT_SECONDS = 8 * 86_400
REFUSED_DAYS = 7


def live_integration(integration_id: UUID) -> CrmIntegration | None:
    """Return it with its business; a switched-off one, or one of a closed business, is as good as none."""
    live = CrmIntegration.objects.filter(pk=integration_id, is_active=True, business__is_active=True)
    return live.select_related("business").first()


def first_secret(integration: CrmIntegration) -> str:
    """Give an integration that is about to be stored its secret, and return it: it is never shown again."""
    secret = new_secret()
    integration.secret = encrypt(secret)
    return secret


@atomic
def change_secret(integration_id: UUID, *, at: datetime) -> str:
    """Return a new secret. For a day both are accepted: the sender may change over in its own time."""
    integration = CrmIntegration.objects.select_for_update(no_key=True).get(pk=integration_id)
    secret = new_secret()
    integration.old_secret, integration.old_secret_until = integration.secret, at + OLD_SECRET_ACCEPTED_FOR
    integration.secret = encrypt(secret)
    integration.save(update_fields=["secret", "old_secret", "old_secret_until", "updated_at"])
    return secret


def secrets_of(integration: CrmIntegration, *, at: datetime) -> list[str]:
    """Return the secrets that are accepted at that moment."""
    found = [decrypt(integration.secret)] if integration.secret else []
    if integration.old_secret and integration.old_secret_until and integration.old_secret_until > at:
        found.append(decrypt(integration.old_secret))
    return found


def receive(
    integration: CrmIntegration, headers: Mapping[str, str], body: bytes, *, at: datetime
) -> CrmMessage:
    """Keep a message as it came, before anybody reads it, and commit; a repeat returns the first.

    headers  by lower-case names

    Raises SignatureRefused, and then nothing is stored. Needs to be the outermost transaction: what
    is answered with 202 is safe whatever happens next.
    """
    digest = check_signature(headers, body, secrets=secrets_of(integration, at=at), at=at)
    with atomic(durable=True):
        store(integration, {digest: body}, at=at)
    return CrmMessage.objects.only("id", "status").get(integration=integration, digest=digest)


def store(integration: CrmIntegration, bodies: Mapping[str, bytes], *, at: datetime) -> None:
    """Store messages by their digests, those that are there already left out. Part of a transaction."""
    CrmMessage.objects.bulk_create(
        (
            CrmMessage(
                id=uuid7(), created_at=at, updated_at=at, integration=integration, digest=digest, body=body,
                next_attempt_at=at,
            )
            for digest, body in bodies.items()
        ),
        ignore_conflicts=True,
    )  # fmt: skip
    stale = Q(last_seen_at=None) | Q(last_seen_at__lt=at - SEEN_KEPT_EVERY)
    CrmIntegration.objects.filter(stale, pk=integration.pk).update(last_seen_at=at)


def note_refusal(integration: CrmIntegration, *, at: datetime) -> None:
    """Count a message with a bad signature: all that is kept of it."""
    key = _refused_key(integration, at)
    with suppress(RedisError):
        redis_client().incr(key)
        redis_client().expire(key, REFUSED_KEPT_SECONDS)


def refused_lately(integration: CrmIntegration, *, at: datetime) -> int | None:
    """Return how many messages were refused in the last seven days; None where nobody can tell."""
    days = [at - timedelta(days=back) for back in range(REFUSED_DAYS)]
    try:
        counts = cast(
            "list[bytes | None]", redis_client().mget([_refused_key(integration, day) for day in days])
        )
    except RedisError:
        return None
    return sum(int(count or 0) for count in counts)


def _refused_key(integration: CrmIntegration, at: datetime) -> str:
    return f"crm:refused:{integration.pk}:{at:%Y%m%d}"
