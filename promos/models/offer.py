"""Offers as their owners build them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField


class Offer(ChangingRecord):
    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PUBLISHED = "published", _("published")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")

    class Stacking(models.TextChoices):
        STACKABLE = "stackable", _("together with others")
        EXCLUSIVE = "exclusive", _("only the best one")

    business = models.ForeignKey(
        "loyalty.Business", models.CASCADE, db_index=False, related_name="offers", verbose_name=_("business")
    )
    title = models.CharField(_("title"), max_length=120)
    conditions = models.JSONField(_("conditions"), default=dict, blank=True)
    effect = models.JSONField(_("effect"), default=dict, blank=True)
    stacking = models.CharField(_("stacking"), max_length=9, choices=Stacking, default=Stacking.STACKABLE)
    priority = models.SmallIntegerField(_("priority"), default=0)
    per_member_limit = models.PositiveIntegerField(_("uses per member"), null=True, blank=True)
    per_member_day_limit = models.PositiveIntegerField(_("uses per member and day"), null=True, blank=True)
    total_uses_limit = models.PositiveIntegerField(_("uses in all"), null=True, blank=True)
    total_bonus_limit = MoneyField(_("bonuses in all"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.DRAFT)
    version = models.PositiveIntegerField(_("version"), default=1)

    class Meta:
        db_table = "offer_constructor"
        verbose_name = _("offer")
        verbose_name_plural = _("offers")
        indexes = [Index(fields=["business", "status"], name="idx_offer_constructor_business")]
        triggers = audited(
            "business_id",
            "title",
            "conditions",
            "effect",
            "stacking",
            "priority",
            "per_member_limit",
            "per_member_day_limit",
            "total_uses_limit",
            "total_bonus_limit",
            "status",
            "version",
        )

    def __str__(self) -> str:
        return self.title
