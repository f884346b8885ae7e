"""Cross-promotion chains: a purchase at the source brings a coupon for the target."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField, Record
from svoykrug.db.triggers import Refuse, Trigger

from .coupon import Benefit

# A version is written once and answered once.
DECIDED_ONCE = """
    IF OLD.decision <> '' OR (OLD.id, OLD.created_at, OLD.chain_id, OLD.version, OLD.terms, OLD.proposed_by)
        IS DISTINCT FROM (NEW.id, NEW.created_at, NEW.chain_id, NEW.version, NEW.terms, NEW.proposed_by)
    THEN RAISE EXCEPTION 'Cannot change a decided version or the terms of one in chain_versions'; END IF;
    RETURN NEW;
"""
PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class CrossPromoChain(ChangingRecord):
    """Terms both partners agreed to. It runs only while active, and only for purchases after acceptance.

    version    of the terms that stand in this row: in force, or of a draft the next to be proposed
    paused_side  the side that may resume it
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PROPOSED = "proposed", _("proposed")
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")

    class Side(models.TextChoices):
        SOURCE = "source", _("source")
        TARGET = "target", _("target")
        PROGRAMME = "programme", _("programme")

    source_business = models.ForeignKey(
        "loyalty.Business",
        models.PROTECT,
        db_index=False,
        related_name="chains_from",
        verbose_name=_("source"),
    )
    target_business = models.ForeignKey(
        "loyalty.Business", models.PROTECT, db_index=False, related_name="chains_to", verbose_name=_("target")
    )
    continues = models.ForeignKey(
        "self",
        models.SET_NULL,
        db_column="continues",
        db_index=False,
        null=True,
        blank=True,
        related_name="continued_by",
        verbose_name=_("continues"),
        help_text=_("Only a purchase that uses a coupon of that chain brings this one's."),
    )
    title = models.CharField(_("title"), max_length=120, blank=True)

    trigger_min_amount = MoneyField(_("least bill at the source, ₽"), default=0)
    trigger_categories = ArrayField(
        models.CharField(max_length=200), verbose_name=_("categories"), default=list, blank=True
    )
    trigger_tiers = ArrayField(
        models.PositiveSmallIntegerField(), verbose_name=_("tiers"), default=list, blank=True
    )
    trigger_weekdays = ArrayField(
        models.PositiveSmallIntegerField(), verbose_name=_("weekdays, Monday is 1"), default=list, blank=True
    )
    trigger_first_purchase = models.BooleanField(_("first purchase at the source only"), default=False)

    coupon_benefit = models.CharField(
        _("what the coupon gives"), max_length=10, choices=Benefit, default=Benefit.PERCENT
    )
    coupon_value = models.DecimalField(_("value"), max_digits=10, decimal_places=2, default=10)
    coupon_text = models.CharField(_("gift"), max_length=120, blank=True)
    coupon_min_amount = MoneyField(_("least bill at the target, ₽"), default=0)
    coupon_valid_days = models.PositiveSmallIntegerField(
        _("coupon lives, days"), default=14, validators=[MinValueValidator(1)]
    )
    delay_hours = models.PositiveSmallIntegerField(_("delay, hours"), default=0)

    budget_rub = MoneyField(
        _("budget of discounts, ₽"),
        null=True,
        blank=True,
        help_text=_(
            "Discounts count when coupons are redeemed. A spent budget stops new coupons; "
            "those given stay valid."
        ),
    )
    spent_rub = MoneyField(_("discounts given, ₽"), default=0, db_default=0, editable=False)
    total_limit = models.PositiveIntegerField(_("coupons in all, at most"), null=True, blank=True)
    daily_limit = models.PositiveIntegerField(_("coupons a day, at most"), null=True, blank=True)
    issued_count = models.PositiveIntegerField(_("coupons issued"), default=0, editable=False)
    discount_share_percent = models.DecimalField(
        _("share of the discount the source pays, %"),
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=PERCENT,
    )
    holdout_percent = models.DecimalField(
        _("hold-out, %"), max_digits=5, decimal_places=2, default=10, validators=PERCENT
    )
    attribution_days = models.PositiveSmallIntegerField(_("visits counted for, days"), default=30)
    exclude_target_customers_days = models.PositiveSmallIntegerField(
        _("skip who bought at the target in the last, days"), default=90
    )

    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.DRAFT)
    accepted_by = models.ForeignKey(
        "loyalty.Member",
        models.PROTECT,
        db_column="accepted_by",
        db_index=False,
        null=True,
        blank=True,
        related_name="accepted_chains",
    )
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    paused_side = models.CharField(
        _("paused by"), max_length=9, choices=Side, blank=True, db_default="", default=""
    )
    resumed_at = models.DateTimeField(_("resumed"), null=True, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)

    class Meta:
        db_table = "cross_promo_chains"
        verbose_name = _("chain")
        verbose_name_plural = _("chains")
        constraints = [
            models.CheckConstraint(
                name="cross_promo_chains_two_businesses", condition=~Q(source_business=F("target_business"))
            ),
            models.CheckConstraint(
                name="cross_promo_chains_active_is_accepted",
                condition=~Q(status="active") | Q(accepted_by__isnull=False, accepted_at__isnull=False),
            ),
            models.CheckConstraint(
                name="cross_promo_chains_issued_within_limit",
                condition=Q(total_limit__isnull=True) | Q(issued_count__lte=F("total_limit")),
            ),
            models.CheckConstraint(
                name="cross_promo_chains_percents_within_hundred",
                condition=Q(
                    discount_share_percent__gte=0,
                    discount_share_percent__lte=100,
                    holdout_percent__gte=0,
                    holdout_percent__lte=100,
                ),
            ),
        ]
        indexes = [
            Index(fields=["source_business", "status"], name="idx_cross_promo_chains_source"),
            Index(fields=["target_business", "status"], name="idx_cross_promo_chains_target"),
            Index(
                fields=["continues"],
                condition=Q(continues__isnull=False),
                name="idx_cross_promo_chains_continues",
            ),
            Index(
                fields=["accepted_by"],
                condition=Q(accepted_by__isnull=False),
                name="idx_cross_promo_chains_accepted",
            ),
        ]
        triggers = audited(
            "source_business_id",
            "target_business_id",
            "continues",
            "title",
            "trigger_min_amount",
            "trigger_categories",
            "trigger_tiers",
            "trigger_weekdays",
            "trigger_first_purchase",
            "coupon_benefit",
            "coupon_value",
            "coupon_text",
            "coupon_min_amount",
            "coupon_valid_days",
            "delay_hours",
            "budget_rub",
            "spent_rub",
            "total_limit",
            "daily_limit",
            "issued_count",
            "discount_share_percent",
            "holdout_percent",
            "attribution_days",
            "exclude_target_customers_days",
            "status",
            "accepted_by",
            "accepted_at",
            "paused_side",
            "resumed_at",
            "version",
        )

    def __str__(self) -> str:
        return self.title or f"{self.source_business} → {self.target_business}"


class ChainVersion(Record):
    """Terms that one side proposed and the answer of the other. `created_at` is the proposal's time.

    terms     frozen, by the names of the chain's columns (promos/chain_terms.py)
    decision  empty until the target answers; then it never changes
    reason    of a decline
    """

    class Decision(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        DECLINED = "declined", _("declined")

    chain = models.ForeignKey("CrossPromoChain", models.PROTECT, db_index=False, related_name="versions")
    version = models.PositiveIntegerField(_("version"))
    terms = models.JSONField(_("terms"))
    proposed_by = models.ForeignKey(
        "loyalty.Member",
        models.PROTECT,
        db_column="proposed_by",
        db_index=False,
        related_name="proposed_chain_versions",
    )
    decision = models.CharField(_("decision"), max_length=8, choices=Decision, blank=True, default="")
    decided_by = models.ForeignKey(
        "loyalty.Member",
        models.PROTECT,
        db_column="decided_by",
        db_index=False,
        null=True,
        blank=True,
        related_name="decided_chain_versions",
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")

    class Meta:
        db_table = "chain_versions"
        constraints = [
            models.UniqueConstraint(fields=["chain", "version"], name="idx_chain_versions_chain"),
            models.UniqueConstraint(
                fields=["chain"], condition=Q(decision=""), name="idx_chain_versions_open"
            ),
            models.CheckConstraint(
                name="chain_versions_decided_by_a_person",
                condition=Q(decision="", decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_by__isnull=False, decided_at__isnull=False)),
            ),
        ]
        indexes = [
            Index(fields=["proposed_by"], name="idx_chain_versions_proposed"),
            Index(
                fields=["decided_by"],
                condition=Q(decided_by__isnull=False),
                name="idx_chain_versions_decided",
            ),
        ]
        triggers = [
            Trigger(
                name="decided_once", when=pgtrigger.Before, operation=pgtrigger.Update, func=DECIDED_ONCE
            ),
            Refuse(name="kept", operation=pgtrigger.Delete),
            *audited("chain_id", "version", "proposed_by", "decision", "decided_by", "decided_at", "reason"),
        ]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.version}"
