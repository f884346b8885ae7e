"""What partners' own systems are told, and how that went."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, EncryptedField, Index, Record
from svoykrug.db.triggers import Refuse, no_truncate


class WebhookEvent(Record):
    """What happened, in the words a receiver gets: written by the transaction in which it happened.

    object_id  what it happened to: its events reach a receiver in their order
    """

    class Type(models.TextChoices):
        PURCHASE_CREATED = "purchase.created", _("purchase")
        PURCHASE_REFUNDED = "purchase.refunded", _("refund")
        COUPON_ISSUED = "coupon.issued", _("coupon issued")
        COUPON_REDEEMED = "coupon.redeemed", _("coupon redeemed")
        MEMBER_TIER_CHANGED = "member.tier_changed", _("tier changed")
        CHAIN_PROPOSED = "chain.proposed", _("chain proposed")
        CHAIN_ACCEPTED = "chain.accepted", _("chain accepted")
        TEST = "test.ping", _("test")

    business = models.ForeignKey(
        "Business", models.CASCADE, db_index=False, related_name="webhook_events", verbose_name=_("business")
    )
    type = models.CharField(_("event"), max_length=32, choices=Type)
    object_id = models.UUIDField(_("of"))
    data = models.JSONField(_("content"))

    class Meta:
        db_table = "webhook_events"
        verbose_name = _("event for webhooks")
        verbose_name_plural = _("events for webhooks")
        indexes = [Index(fields=["business", "id"], name="idx_webhook_events_business")]
        triggers = [Refuse(name="stay_as_written", operation=pgtrigger.Update), no_truncate()]

    def __str__(self) -> str:
        return self.type


class WebhookEndpoint(ChangingRecord):
    """Where a business wants to be told.

    secret           signs, encrypted; `old_secret` signs beside it until `old_secret_until`
    status           failing: given up after days without success, nothing is sent until resumed
    failing_since    of the first refusal after the last success
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        FAILING = "failing", _("switched off: it did not answer")

    business = models.ForeignKey(
        "Business",
        models.CASCADE,
        db_index=False,
        related_name="webhook_endpoints",
        verbose_name=_("business"),
    )
    url = models.CharField(_("address"), max_length=500)
    description = models.CharField(_("what it is for"), max_length=120, blank=True)
    events = ArrayField(
        models.CharField(max_length=32, choices=WebhookEvent.Type), verbose_name=_("events"), default=list
    )
    secret = EncryptedField(editable=False)
    old_secret = EncryptedField(null=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, editable=False)
    status = models.CharField(
        _("status"), max_length=7, choices=Status, default=Status.ACTIVE, editable=False
    )
    failing_since = models.DateTimeField(_("no success since"), null=True, editable=False)
    last_success_at = models.DateTimeField(_("last success"), null=True, editable=False)

    class Meta:
        db_table = "webhook_endpoints"
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        indexes = [Index(fields=["business", "status"], name="idx_webhook_endpoints_business")]
        triggers = audited(
            "business_id", "url", "description", "events", "status", unrecorded=("last_success_at",)
        )

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(ChangingRecord):
    """An event on its way to an endpoint; one row however often it is tried.

    object_id      as in the event: of two about one object the later waits for the earlier
    answer_status  HTTP status of the last try; none came if empty
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("on its way")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    event = models.ForeignKey(
        "WebhookEvent", models.CASCADE, db_index=False, related_name="deliveries", verbose_name=_("event")
    )
    endpoint = models.ForeignKey(
        "WebhookEndpoint",
        models.CASCADE,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("webhook"),
    )
    object_id = models.UUIDField()
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_attempt_at = models.DateTimeField(_("next try"))
    answer_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    answer = models.TextField(_("answer"), blank=True)
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="idx_webhook_deliveries_event")
        ]
        indexes = [
            Index(
                fields=["endpoint", "object_id", "event"],
                condition=Q(status="pending"),
                name="idx_webhook_deliveries_queue",
            ),
            Index("endpoint", F("created_at").desc(), name="idx_webhook_deliveries_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} · {timezone.localtime(self.created_at):%d.%m %H:%M:%S}"
