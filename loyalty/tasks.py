"""Nightly and monthly work of the ledger; each may run twice. The schedule is rows of django-celery-beat."""

import time
from dataclasses import asdict

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from loyalty.services import expiry, idempotency, tiers
from loyalty.services.webhooks import delivery

WEBHOOKS_RUN_SECONDS = 50


@shared_task(name="close_lapsed_bonuses")
def close_lapsed_bonuses() -> int:
    return expiry.expire_bonuses(at=timezone.now())


@shared_task(name="raise_tiers")
def raise_tiers() -> int:
    return len(tiers.raise_tiers(at=timezone.now()))


# A member locked for too long stops the run; the next one would be a month away.
@shared_task(name="review_tiers", autoretry_for=(OperationalError,), retry_backoff=60, max_retries=10)
def review_tiers() -> dict[str, int]:
    return asdict(tiers.review_tiers(at=timezone.now()))


@shared_task(name="queue_expiry_warnings")
def queue_expiry_warnings() -> int:
    return expiry.queue_expiry_warnings(at=timezone.now())


@shared_task(name="deliver_webhooks", ignore_result=True)
def deliver_webhooks() -> int | None:
    return delivery.deliver_due(until=time.monotonic() + WEBHOOKS_RUN_SECONDS)


@shared_task(name="forget_old_webhook_events")
def forget_old_webhook_events() -> int:
    return delivery.forget_old_events(at=timezone.now())


@shared_task(name="forget_answers")
def forget_answers() -> int:
    return idempotency.forget_answers(at=timezone.now())
