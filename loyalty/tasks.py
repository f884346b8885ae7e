"""Nightly and monthly work of the ledger; each may run twice. The schedule is rows of django-celery-beat."""

import logging
import time
from dataclasses import asdict

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from loyalty.errors import LedgerWrong
from loyalty.services import expiry, idempotency, staff_alerts, tiers, verification
from loyalty.services.webhooks import delivery

log = logging.getLogger(__name__)

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


@shared_task(name="verify_ledger")
def verify_ledger() -> None:
    """Ask every rule of the ledger of every row; tell programme staff what is wrong, and fail then."""
    at = timezone.now()
    with verification.snapshot():
        wrong = [finding for finding in verification.verify_ledger(at=at) if finding.wrong]
    if not wrong:
        return
    for each in wrong:
        row = each.first.row_id if each.first else None
        log.error("%s: %d wrong, the first is %s %s.", each.check.rule, each.wrong, each.check.table, row)
    staff_alerts.warn_of_wrong_rows(wrong, at=at)
    raise LedgerWrong(f"{sum(each.wrong for each in wrong)} rows are wrong: run `manage.py verify_ledger`.")
