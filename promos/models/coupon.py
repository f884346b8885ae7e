"""Coupons: a promise to one member, redeemed once at one business."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField


class Benefit(models.TextChoices):
    PERCENT = "percent", _("percent off")
    FIXED = "fixed", _("roubles off")
    MULTIPLIER = "multiplier", _("bonuses multiplied")
    GIFT = "gift", _("gift")


# Per cent, roubles or a multiplier; a gift has no value.
BENEFIT_IS_SANE = (
    Q(benefit="percent", benefit_value__gt=0, benefit_value__lte=100)
    | Q(benefit="fixed", benefit_value__gt=0)
    | Q(benefit="multiplier", benefit_value__gt=1)
    | Q(benefit="gift")
)


class CouponQuerySet(models.QuerySet["Coupon"]):
    def valid(self, at: datetime) -> "CouponQuerySet":
        """Coupons that may be redeemed at that moment."""
        return self.filter(status=Coupon.Status.ISSUED, valid_from__lte=at, valid_until__gt=at)


class Coupon(ChangingRecord):
    class Status(models.TextChoices):
        ISSUED = "issued", _("issued")
        REDEEMED = "redeemed", _("redeemed")
        EXPIRED = "expired", _("expired")
        VOIDED = "voided", _("voided")

    code = models.CharField(_("code"), max_length=10)
    member = models.ForeignKey(
        "loyalty.Member",
        models.CASCADE,
        db_column="user_id",
        db_index=False,
        related_name="coupons",
        verbose_name=_("member"),
    )
    business = models.ForeignKey(
        "loyalty.Business",
        models.CASCADE,
        db_index=False,
        related_name="coupons",
        verbose_name=_("redeemed at"),
    )
    chain = models.ForeignKey(
        "CrossPromoChain",
        models.PROTECT,
        db_index=False,
        null=True,
        blank=True,
        related_name="coupons",
        verbose_name=_("chain"),
    )
    chain_version = models.PositiveIntegerField(null=True, blank=True, editable=False)
    offer = models.ForeignKey(
        "Offer", models.PROTECT, db_index=False, null=True, blank=True, related_name="coupons"
    )
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.ISSUED)
    benefit = models.CharField(_("benefit"), max_length=10, choices=Benefit)
    benefit_value = models.DecimalField(
        _("value"),
        max_digits=10,
        decimal_places=2,
        default=0,
        help_text=_("Per cent, roubles or multiplier."),
    )
    benefit_text = models.CharField(_("gift"), max_length=120, blank=True)
    min_amount = MoneyField(_("least bill, ₽"), default=0)
    valid_from = models.DateTimeField(_("valid from"))
    valid_until = models.DateTimeField(_("valid until"))
    issued_for = models.ForeignKey(
        "loyalty.Transaction",
        models.PROTECT,
        db_column="issued_for",
        db_index=False,
        null=True,
        blank=True,
        related_name="coupons_issued",
    )
    void_reason = models.CharField(_("why voided"), max_length=200, blank=True, default="", db_default="")

    objects = CouponQuerySet.as_manager()

    class Meta:
        db_table = "coupons"
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")
        constraints = [
            models.UniqueConstraint(fields=["code"], name="idx_coupons_code"),
            models.CheckConstraint(
                name="coupons_valid_until_after_from", condition=Q(valid_until__gt=F("valid_from"))
            ),
            models.CheckConstraint(
                name="coupons_benefit_value_sane",
                condition=BENEFIT_IS_SANE,
            ),
        ]
        indexes = [
            Index(fields=["member", "status", "valid_until"], name="idx_coupons_user"),
            Index("business", F("created_at").desc(), name="idx_coupons_business"),
            Index(fields=["chain", "member"], name="idx_coupons_chain_user"),
            Index(fields=["offer"], condition=Q(offer__isnull=False), name="idx_coupons_offer"),
            Index(
                fields=["issued_for"], condition=Q(issued_for__isnull=False), name="idx_coupons_issued_for"
            ),
        ]
        triggers = audited(
            "user_id",
            "business_id",
            "chain_id",
            "chain_version",
            "offer_id",
            "status",
            "benefit",
            "benefit_value",
            "benefit_text",
            "min_amount",
            "valid_from",
            "valid_until",
            "issued_for",
            "void_reason",
        )

    def __str__(self) -> str:
        return f"{self.code[:5]}-{self.code[5:]}"
