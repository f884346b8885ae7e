"""Quotes: what a till was promised for a bill, and what is set aside for it."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index


class QuoteQuerySet(models.QuerySet["Quote"]):
    def live(self, at: datetime) -> "QuoteQuerySet":
        """Quotes that were neither used nor cancelled and have not run out."""
        return self.filter(transaction=None, cancelled_at=None, expires_at__gt=at)


class Quote(ChangingRecord):
    """A promise for 15 minutes.

    content   the bill as it was asked: amount, category, lines, coupon, redeem
    promised  the outcome: a purchase that names this quote is recorded only with the same one
    holds     the coupon is kept for this bill, and the bonuses if there is a `hold`
    presence_shown  the member's presence was proven when the quote was made
    """

    business = models.ForeignKey("loyalty.Business", models.CASCADE, db_index=False, related_name="quotes")
    member = models.ForeignKey(
        "loyalty.Member", models.CASCADE, db_column="user_id", db_index=False, related_name="quotes"
    )
    coupon = models.ForeignKey(
        "Coupon", models.CASCADE, db_index=False, null=True, blank=True, related_name="quotes"
    )
    hold = models.ForeignKey(
        "loyalty.BonusHold", models.CASCADE, db_index=False, null=True, blank=True, related_name="quotes"
    )
    transaction = models.ForeignKey(
        "loyalty.Transaction", models.PROTECT, db_index=False, null=True, blank=True, related_name="quotes"
    )
    content = models.JSONField()
    promised = models.JSONField()
    holds = models.BooleanField(default=False)
    presence_shown = models.BooleanField(default=False)
    expires_at = models.DateTimeField(_("valid until"))
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = QuoteQuerySet.as_manager()

    class Meta:
        db_table = "quotes"
        verbose_name = _("quote")
        verbose_name_plural = _("quotes")
        constraints = [models.UniqueConstraint(fields=["hold"], name="idx_quotes_hold")]
        indexes = [
            Index(fields=["business"], name="idx_quotes_business"),
            Index(fields=["member"], name="idx_quotes_user"),
            Index(fields=["coupon"], condition=Q(coupon__isnull=False), name="idx_quotes_coupon"),
            Index(
                fields=["transaction"],
                condition=Q(transaction__isnull=False),
                name="idx_quotes_transaction",
            ),
        ]
        triggers = audited(
            "business_id", "user_id", "coupon_id", "hold_id", "transaction_id", "holds", "presence_shown",
            "expires_at", "cancelled_at", inserted_values=False,
        )  # fmt: skip

    def __str__(self) -> str:
        return str(self.pk)
