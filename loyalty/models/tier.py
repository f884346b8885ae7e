"""Status tiers: what a level of yearly turnover gives."""

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from svoykrug.db.models import ChangingRecord, MoneyField


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

    def __str__(self) -> str:
        return self.name_en if (get_language() or "").startswith("en") else self.name
