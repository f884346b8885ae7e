"""Status tiers: what a level of yearly turnover gives."""

from django.db import models
from django.db.models import F
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited, audited_append_only
from svoykrug.db.models import ChangingRecord, Index, MoneyField, Record, append_only


class StatusTier(ChangingRecord):
    """One of the four levels; the figures are rows, so a programme changes them without a release."""

    level = models.PositiveSmallIntegerField(_("level"))
    name = models.CharField(_("name"), max_length=50)
    name_en = models.CharField(_("name in English"), max_length=50)
    threshold_rub = MoneyField(_("from, ₽ in 12 months"))
    accrual_percent = models.DecimalField(_("accrual, %"), max_digits=5, decimal_places=2)
    redemption_cap_percent = models.DecimalField(_("payable by bonuses, %"), max_digits=5, decimal_places=2)
    overdraft_limit = MoneyField(_("overdraft after refunds"))

    class Meta:
        db_table = "status_tiers"
        ordering = ["level"]
        verbose_name = _("tier")
        verbose_name_plural = _("tiers")
        constraints = [
            models.UniqueConstraint(fields=["level"], name="idx_status_tiers_level"),
            models.CheckConstraint(
                name="status_tiers_level_known", condition=models.Q(level__gte=1, level__lte=4)
            ),
            models.CheckConstraint(
                name="status_tiers_percents_within_hundred",
                condition=models.Q(
                    accrual_percent__gte=0,
                    accrual_percent__lte=100,
                    redemption_cap_percent__gte=0,
                    redemption_cap_percent__lte=100,
                ),
            ),
            models.CheckConstraint(
                name="status_tiers_sums_not_negative",
                condition=models.Q(threshold_rub__gte=0, overdraft_limit__gte=0),
            ),
        ]
        triggers = audited(
            "level",
            "name",
            "name_en",
            "threshold_rub",
            "accrual_percent",
            "redemption_cap_percent",
            "overdraft_limit",
        )

    def __str__(self) -> str:
        return self.name_en if (get_language() or "").startswith("en") else self.name


class TierChange(Record):
    """A member's step from one tier to another. `created_at` is when it took effect."""

    class Reason(models.TextChoices):
        RISE = "rise", _("turnover reached")
        REVIEW = "review", _("review")
        STAFF = "staff", _("by the programme")

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="tier_changes"
    )
    from_level = models.PositiveSmallIntegerField(_("from level"))
    to_level = models.PositiveSmallIntegerField(_("to level"))
    reason = models.CharField(_("reason"), max_length=6, choices=Reason)
    turnover_rub = MoneyField(_("turnover then, ₽"))
    transaction = models.ForeignKey(
        "Transaction", models.PROTECT, db_index=False, null=True, blank=True, related_name="tier_changes"
    )

    class Meta:
        db_table = "tier_changes"
        verbose_name = _("change of tier")
        verbose_name_plural = _("changes of tier")
        constraints = [
            models.CheckConstraint(
                name="tier_changes_is_a_change", condition=~models.Q(from_level=models.F("to_level"))
            ),
        ]
        indexes = [
            Index("member", F("created_at").desc(), name="idx_tier_changes_user"),
            Index(
                fields=["transaction"],
                condition=models.Q(transaction__isnull=False),
                name="idx_tier_changes_transaction",
            ),
        ]
        triggers = [append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.from_level} → {self.to_level}"
