"""Campaigns: one coupon for each member of an audience."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField, Record

from .coupon import BENEFIT_IS_SANE, Benefit


class CouponCampaign(ChangingRecord):
    """Coupons of one business for a part of its buyers, or of everybody.

    expected  members of the audience when the issue began
    matched   members of the audience whom the issue has come to
    refused   those of them who do not consent to the business's advertising
    issued    those who got a coupon
    cursor    the last member whom the issue has come to: it goes on from there
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ISSUING = "issuing", _("being issued")
        ISSUED = "issued", _("all issued")
        STOPPED = "stopped", _("stopped")

    business = models.ForeignKey(
        "loyalty.Business",
        models.PROTECT,
        db_index=False,
        related_name="coupon_campaigns",
        verbose_name=_("redeemed at"),
    )
    title = models.CharField(_("title"), max_length=120)

    reaches_everybody = models.BooleanField(
        _("also members who never bought there"),
        default=False,
        help_text=_("The programme's to decide: a partner addresses its own buyers."),
    )
    tiers = ArrayField(models.PositiveSmallIntegerField(), verbose_name=_("tiers"), default=list, blank=True)
    segments = ArrayField(
        models.CharField(max_length=20), verbose_name=_("RFM segments"), default=list, blank=True
    )
    bought_within_days = models.PositiveSmallIntegerField(
        _("bought there within the last, days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=_("Empty: at any time."),
    )

    benefit = models.CharField(
        _("what the coupon gives"), max_length=10, choices=Benefit, default=Benefit.PERCENT
    )
    benefit_value = models.DecimalField(
        _("value"),
        max_digits=10,
        decimal_places=2,
        default=10,
        help_text=_("Per cent, roubles or multiplier."),
    )
    benefit_text = models.CharField(_("gift"), max_length=120, blank=True)
    min_amount = MoneyField(_("least bill, ₽"), default=0, validators=[MinValueValidator(0)])
    valid_days = models.PositiveSmallIntegerField(
        _("coupon lives, days"),
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text=_("To the end of the last day; the day of the issue is not counted."),
    )

    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.DRAFT)
    expected = models.PositiveIntegerField(_("members to come to"), default=0, editable=False)
    matched = models.PositiveIntegerField(_("matched"), default=0, editable=False)
    refused = models.PositiveIntegerField(_("without consent"), default=0, editable=False)
    issued = models.PositiveIntegerField(_("coupons issued"), default=0, editable=False)
    cursor = models.UUIDField(null=True, editable=False)
    started_at = models.DateTimeField(_("issue began"), null=True, editable=False)
    finished_at = models.DateTimeField(_("issue ended"), null=True, editable=False)

    class Meta:
        db_table = "coupon_campaigns"
        verbose_name = _("coupon campaign")
        verbose_name_plural = _("coupon campaigns")
        constraints = [
            models.CheckConstraint(name="coupon_campaigns_benefit_value_sane", condition=BENEFIT_IS_SANE),
            models.CheckConstraint(
                name="coupon_campaigns_days_above_zero",
                condition=Q(valid_days__gt=0) & (Q(bought_within_days=None) | Q(bought_within_days__gt=0)),
            ),
            models.CheckConstraint(
                name="coupon_campaigns_counts_add_up",
                condition=Q(matched__gte=F("refused") + F("issued")),
            ),
            models.CheckConstraint(
                name="coupon_campaigns_only_drafts_wait",
                condition=Q(status="draft", started_at=None)
                | (~Q(status="draft") & Q(started_at__isnull=False)),
            ),
        ]
        indexes = [
            Index(fields=["business"], name="idx_coupon_campaigns_business"),
            Index(fields=["status"], condition=Q(status="issuing"), name="idx_coupon_campaigns_issuing"),
        ]
        triggers = audited(
            "business_id",
            "title",
            "reaches_everybody",
            "tiers",
            "segments",
            "bought_within_days",
            "benefit",
            "benefit_value",
            "benefit_text",
            "min_amount",
            "valid_days",
            "status",
            "started_at",
            "finished_at",
            # They move with every part of the issue; the coupons say the same.
            unrecorded=("expected", "matched", "refused", "issued", "cursor"),
        )

    def __str__(self) -> str:
        return self.title


class CampaignCoupon(Record):
    """Whose coupon of a campaign that is: the database refuses a second one for the same member."""

    campaign = models.ForeignKey(
        "CouponCampaign", models.PROTECT, db_index=False, related_name="campaign_coupons"
    )
    member = models.ForeignKey(
        "loyalty.Member", models.CASCADE, db_column="user_id", db_index=False, related_name="campaign_coupons"
    )
    coupon = models.ForeignKey("Coupon", models.CASCADE, db_index=False, related_name="campaign_coupons")

    class Meta:
        db_table = "campaign_coupons"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "member"], name="idx_campaign_coupons_campaign"),
            models.UniqueConstraint(fields=["coupon"], name="idx_campaign_coupons_coupon"),
        ]
        indexes = [Index(fields=["member"], name="idx_campaign_coupons_user")]
        triggers = audited("campaign_id", "user_id", "coupon_id", inserted_values=False)

    def __str__(self) -> str:
        return f"{self.campaign_id} {self.member_id}"
