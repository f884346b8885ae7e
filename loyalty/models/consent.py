"""What members allowed, and when they took it back."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited_append_only, by_database
from svoykrug.db.models import Index, Record, append_only

from .journal import Notification


class Consent(Record):
    """One decision of a member: a consent given or withdrawn. The one recorded last decides.

    channel  of advertising, empty for the rest
    partner  whom the member's name and phone are handed over to; of advertising: whose, or the
             whole circle's if empty. A decision about one partner stands above that
    text_*, language, ip  what the member read, and from which address; empty address: on the spot
    """

    class Purpose(models.TextChoices):
        PROCESSING = "processing", _("processing of personal data")
        ADVERTISING = "advertising", _("advertising")
        HANDOVER = "handover", _("name and phone to a partner")

    # The database's clock, so that of two decisions the later one is known whoever recorded them.
    id = models.UUIDField(primary_key=True, db_default=by_database("uuid_v7()"), editable=False)
    member = models.ForeignKey(
        "Member", models.PROTECT, db_column="user_id", db_index=False, related_name="consents"
    )
    purpose = models.CharField(_("purpose"), max_length=11, choices=Purpose)
    channel = models.CharField(_("channel"), max_length=5, choices=Notification.Channel, blank=True)
    partner = models.ForeignKey(
        "Business",
        models.PROTECT,
        db_index=False,
        null=True,
        blank=True,
        related_name="consents",
        verbose_name=_("partner"),
    )
    granted = models.BooleanField(_("given"))
    text_version = models.CharField(_("version of the text"), max_length=16)
    text_hash = models.CharField(max_length=64)
    language = models.CharField(_("language"), max_length=2)
    ip = models.GenericIPAddressField(_("address"), null=True, blank=True)

    class Meta:
        db_table = "consents"
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            models.CheckConstraint(
                name="consents_name_the_channel_of_advertising",
                condition=Q(purpose="advertising") ^ Q(channel=""),
            ),
            models.CheckConstraint(
                name="consents_name_the_partner_of_a_handover",
                condition=Q(purpose="advertising")
                | Q(purpose="processing", partner=None)
                | Q(purpose="handover", partner__isnull=False),
            ),
        ]
        indexes = [
            Index(fields=["member", "purpose", "channel"], name="idx_consents_user"),
            Index(fields=["partner"], condition=Q(partner__isnull=False), name="idx_consents_partner"),
        ]
        triggers = [append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.purpose} {self.channel}".strip()
