"""Invitations: who brought whom, and what came of it."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, Record


class Referral(ChangingRecord):
    """A newcomer who joined by an inviter's code; at most one per newcomer.

    joined    the newcomer has not made the purchase that rewards both
    rewarded  both got their bonuses, pending until `settled_at` plus the waiting time
    voided    that purchase was refunded in time, and the bonuses were taken back
    refused   a guard said no: `reason` names it
    """

    class Reason(models.TextChoices):
        CODE_INACTIVE = "code_inactive", _("the code is switched off")
        INVITER_LEFT = "inviter_left", _("the inviter has left")
        PHONE_SEEN = "phone_seen", _("the phone was a member's before")
        MONTHLY_LIMIT = "monthly_limit", _("beyond the limit of the month")
        REFUNDED = "refunded", _("the purchase was refunded")

    class Status(models.TextChoices):
        JOINED = "joined", _("joined")
        REWARDED = "rewarded", _("rewarded")
        VOIDED = "voided", _("voided")
        REFUSED = "refused", _("refused")

    inviter = models.ForeignKey(
        "Member", models.CASCADE, db_index=False, related_name="invitations", verbose_name=_("inviter")
    )
    newcomer = models.ForeignKey(
        "Member", models.CASCADE, db_index=False, related_name="joined_by", verbose_name=_("newcomer")
    )
    code = models.CharField(_("code"), max_length=16)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.JOINED)
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    transaction = models.ForeignKey(
        "Transaction", models.PROTECT, db_index=False, null=True, blank=True, related_name="referrals"
    )
    settled_at = models.DateTimeField(_("rewarded"), null=True, blank=True)

    class Meta:
        db_table = "referrals"
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(fields=["newcomer"], name="idx_referrals_newcomer"),
            models.CheckConstraint(name="referrals_not_oneself", condition=~Q(inviter=F("newcomer"))),
            models.CheckConstraint(
                name="referrals_rewarded_by_a_purchase",
                condition=~Q(status="rewarded") | Q(transaction__isnull=False, settled_at__isnull=False),
            ),
        ]
        indexes = [
            Index("inviter", F("settled_at").desc(), name="idx_referrals_inviter"),
            Index(
                fields=["transaction"],
                condition=Q(transaction__isnull=False),
                name="idx_referrals_transaction",
            ),
        ]
        triggers = audited("inviter_id", "newcomer_id", "status", "reason", "transaction_id", "settled_at")

    def __str__(self) -> str:
        return f"{self.inviter} → {self.newcomer}"


class SeenContact(Record):
    """A phone that was a member's once: a keyed hash of it, so that leaving does not undo it.

    It only answers "was this one here before?"; without SECRET_KEY nobody reads the phone out of it.
    """

    digest = models.CharField(max_length=64)

    class Meta:
        db_table = "seen_contacts"
        constraints = [models.UniqueConstraint(fields=["digest"], name="idx_seen_contacts_digest")]

    def __str__(self) -> str:
        return self.digest
