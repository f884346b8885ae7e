"""How a business's CRM or till vendor reaches us, and what it said, word for word."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, EncryptedField, Index


class CrmIntegration(ChangingRecord):
    """How a business's CRM or till vendor reaches us.

    secret        signs what is sent to us, encrypted; `old_secret` is accepted until `old_secret_until`
    mapping       where in a message is what (promos/crm/mapping.py)
    polling       how to ask a vendor that sends nothing itself; {} where it sends (promos/crm/polling.py)
    token         opens the vendor's own API, encrypted
    cursor        how far the vendor's list has been read; moves only with the messages read
    failures      polls that failed, one after another
    last_seen_at  when a message last came or a poll last succeeded
    """

    business = models.ForeignKey(
        "Business",
        models.CASCADE,
        db_index=False,
        related_name="crm_integrations",
        verbose_name=_("business"),
    )
    provider = models.CharField(_("provider"), max_length=40)
    base_url = models.URLField(_("address"), blank=True)
    secret = EncryptedField(_("secret, encrypted"), null=True, blank=True, editable=False)
    old_secret = EncryptedField(null=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, editable=False)
    mapping = models.JSONField(_("mapping"), default=dict, blank=True)
    polling = models.JSONField(_("how to ask"), default=dict, blank=True)
    token = EncryptedField(null=True, editable=False)
    cursor = models.JSONField(default=dict, editable=False)
    next_poll_at = models.DateTimeField(_("next question"), null=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    last_seen_at = models.DateTimeField(_("last heard of"), null=True, blank=True, editable=False)
    last_error = models.TextField(_("last trouble"), blank=True, editable=False)

    class Meta:
        db_table = "crm_integrations"
        verbose_name = _("CRM integration")
        verbose_name_plural = _("CRM integrations")
        constraints = [models.UniqueConstraint(fields=["business"], name="idx_crm_integrations_business")]
        triggers = audited(
            "business_id",
            "provider",
            "base_url",
            "mapping",
            "is_active",
            unrecorded=("cursor", "next_poll_at", "failures", "last_error"),
        )

    def __str__(self) -> str:
        return str(self.business)


class CrmMessage(ChangingRecord):
    """What a CRM said, kept before anybody tries to understand it.

    digest           SHA-256 of what makes it one and the same message when it is sent again
    body             the bytes as they came
    next_attempt_at  when it is to be applied; nothing is to be done if empty
    reference        receipts it speaks of, once that is understood
    results          one per event in it: external_id, status, transaction, code, detail
    """

    class Status(models.TextChoices):
        RECEIVED = "received", _("waits to be applied")
        APPLIED = "applied", _("applied")
        DUPLICATE = "duplicate", _("known already")
        PARKED = "parked", _("waits for its purchase")
        SKIPPED = "skipped", _("nothing for us in it")
        FAILED = "failed", _("needs you")

    integration = models.ForeignKey(
        "CrmIntegration",
        models.CASCADE,
        db_index=False,
        related_name="messages",
        verbose_name=_("CRM integration"),
    )
    digest = models.CharField(max_length=64, editable=False)
    body = models.BinaryField()
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.RECEIVED)
    error = models.TextField(_("what to do"), blank=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_attempt_at = models.DateTimeField(_("next try"), null=True)
    reference = models.CharField(_("receipts"), max_length=200, blank=True)
    results = models.JSONField(_("what came of it"), default=list)

    class Meta:
        db_table = "crm_messages"
        verbose_name = _("CRM message")
        verbose_name_plural = _("CRM messages")
        constraints = [
            models.UniqueConstraint(fields=["integration", "digest"], name="idx_crm_messages_digest")
        ]
        indexes = [
            Index("integration", F("id").desc(), name="idx_crm_messages_integration"),
            Index(
                fields=["next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False),
                name="idx_crm_messages_due",
            ),
        ]

    def __str__(self) -> str:
        return self.reference or str(self.pk)
