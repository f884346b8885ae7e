"""Background work of promotions; each may run twice. The schedule is rows of django-celery-beat."""

import time
from uuid import UUID

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from promos.crm import applying, polling
from promos.models import CouponCampaign
from promos.services import campaigns, coupon_life, delayed

CRM_RUN_SECONDS = 50


# A member locked for too long stops the run; the next one goes on where it stopped.
@shared_task(name="issue_campaign", autoretry_for=(OperationalError,), retry_backoff=5, max_retries=5)
def issue_campaign(campaign_id: str) -> int:
    return campaigns.issue(UUID(campaign_id), at=timezone.now())


@shared_task(name="continue_campaigns")
def continue_campaigns() -> int:
    """Take up again what a lost worker left half issued; beside one that is at work it does no harm."""
    left = CouponCampaign.objects.filter(status=CouponCampaign.Status.ISSUING).values_list("pk", flat=True)
    for campaign_id in left:
        issue_campaign.delay(str(campaign_id))
    return len(left)


@shared_task(name="expire_coupons")
def expire_coupons() -> int:
    return coupon_life.expire_coupons(at=timezone.now())


@shared_task(name="queue_coupon_warnings")
def queue_coupon_warnings() -> int:
    return coupon_life.queue_coupon_warnings(at=timezone.now())


@shared_task(name="issue_delayed_coupons")
def issue_delayed_coupons() -> int:
    return delayed.issue_delayed_coupons(at=timezone.now())


@shared_task(name="apply_crm_message")
def apply_crm_message(message_id: str) -> str | None:
    return applying.apply_message(UUID(message_id), at=timezone.now())


@shared_task(name="apply_crm_messages", ignore_result=True)
def apply_crm_messages() -> int:
    """Apply what a lost worker, a busy member or a missing Redis left."""
    return applying.apply_due(until=time.monotonic() + CRM_RUN_SECONDS)


@shared_task(name="forget_old_crm_messages")
def forget_old_crm_messages() -> int:
    return applying.forget_old_messages(at=timezone.now())


@shared_task(name="poll_crms")
def poll_crms() -> int:
    """Ask each vendor that is due in a task of its own: a slow one delays nobody else."""
    due = polling.due_integrations(at=timezone.now())
    for integration_id in due:
        poll_crm.apply_async([str(integration_id)], expires=CRM_RUN_SECONDS)
    return len(due)


@shared_task(name="poll_crm")
def poll_crm(integration_id: str) -> int | None:
    return polling.poll(UUID(integration_id), at=timezone.now())
