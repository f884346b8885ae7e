"""Cross-promotion chains: a purchase at the source brings a coupon for the target."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField, Record

from .coupon import Benefit

PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class CrossPromoChain(ChangingRecord):
    """Terms both partners agreed to. It runs only while active, and only for purchases after acceptance."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PROPOSED = "proposed", _("proposed")
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")

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
    version = models.PositiveIntegerField(default=1, editable=False)

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
            "version",
        )

    def __str__(self) -> str:
        return self.title or f"{self.source_business} → {self.target_business}"


class ChainAssignment(Record):
    """A trigger of a chain for a member and the arm it fell into. `created_at` is the trigger's time.

    `skipped` counts members whom the chain leaves out because they already buy at the target;
    they belong to neither arm.
    """

    class Arm(models.TextChoices):
        TREATMENT = "treatment", _("coupon")
        CONTROL = "control", _("hold-out")
        SKIPPED = "skipped", _("already a customer")

    chain = models.ForeignKey("CrossPromoChain", models.PROTECT, db_index=False, related_name="assignments")
    member = models.ForeignKey(
        "loyalty.Member",
        models.CASCADE,
        db_column="user_id",
        db_index=False,
        related_name="chain_assignments",
    )
    trigger = models.ForeignKey(
        "loyalty.Transaction",
        models.PROTECT,
        db_column="trigger_id",
        db_index=False,
        related_name="chain_assignments",
    )
    arm = models.CharField(max_length=9, choices=Arm)
    coupon = models.ForeignKey(
        "Coupon", models.SET_NULL, db_index=False, null=True, blank=True, related_name="assignments"
    )
    converted = models.ForeignKey(
        "loyalty.Transaction",
        models.PROTECT,
        db_column="converted_id",
        db_index=False,
        null=True,
        blank=True,
        related_name="conversions",
    )

    class Meta:
        db_table = "chain_assignments"
        constraints = [
            models.UniqueConstraint(fields=["trigger", "chain"], name="idx_chain_assignments_trigger"),
            models.CheckConstraint(
                name="chain_assignments_only_treatment_has_coupon",
                condition=Q(arm="treatment") | Q(coupon__isnull=True, converted__isnull=True),
            ),
        ]
        indexes = [
            Index(fields=["chain", "created_at"], name="idx_chain_assignments_chain"),
            Index(fields=["member", "chain"], name="idx_chain_assignments_user"),
            Index(fields=["coupon"], condition=Q(coupon__isnull=False), name="idx_chain_assignments_coupon"),
            Index(
                fields=["converted"],
                condition=Q(converted__isnull=False),
                name="idx_chain_assignments_converted",
            ),
        ]
        triggers = audited("chain_id", "user_id", "trigger_id", "arm", "coupon_id", "converted_id")

    def __str__(self) -> str:
        return f"{self.chain_id} {self.arm}"
