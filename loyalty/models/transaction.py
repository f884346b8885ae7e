"""Purchases and refunds."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited, audited_append_only
from svoykrug.db.models import Index, MoneyField, Record, SyncXidField, append_only, stamp_sync_xid


class Transaction(Record):
    """A purchase or a refund, exactly once per (business, external_id), never changed.

    `amount` is gross, in roubles: above zero on a purchase, below zero on a refund.
    `created_at` is when it happened, `recorded_at` when we stored it.
    """

    class Kind(models.TextChoices):
        PURCHASE = "purchase", _("purchase")
        REFUND = "refund", _("refund")

    class Source(models.TextChoices):
        API = "api", _("till, over the API")
        BATCH = "batch", _("till, in a batch")
        TILL = "till", _("cashier's page")
        IMPORT = "import", _("file")
        CRM = "crm", _("CRM")

    member = models.ForeignKey(
        "Member",
        models.PROTECT,
        db_column="user_id",
        db_index=False,
        related_name="transactions",
        verbose_name=_("member"),
    )
    business = models.ForeignKey(
        "Business", models.PROTECT, db_index=False, related_name="transactions", verbose_name=_("business")
    )
    coupon = models.ForeignKey(
        "promos.Coupon", models.PROTECT, db_index=False, null=True, blank=True, related_name="redeemed_in"
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.PURCHASE)
    refund_of = models.ForeignKey(
        "self",
        models.PROTECT,
        db_column="refund_of",
        db_index=False,
        null=True,
        blank=True,
        related_name="refunds",
    )
    amount = MoneyField(_("amount, ₽"))
    coupon_discount = MoneyField(_("coupon discount, ₽"), default=0)
    bonus_redeemed = MoneyField(_("paid by bonuses"), default=0)
    amount_paid = models.GeneratedField(
        expression=F("amount") - F("coupon_discount") - F("bonus_redeemed"),
        output_field=MoneyField(),
        db_persist=True,
        verbose_name=_("paid, ₽"),
    )
    bonus_accrued = MoneyField(_("bonuses accrued"), default=0)
    category = models.CharField(_("category"), max_length=200, blank=True)
    lines = models.JSONField(_("lines"), null=True, blank=True)
    external_id = models.CharField(_("receipt"), max_length=200, null=True, blank=True)
    request_hash = models.CharField(max_length=64, blank=True, editable=False)
    source = models.CharField(_("source"), max_length=6, choices=Source)
    explanation = models.JSONField(_("explanation"), default=dict)
    created_at = models.DateTimeField(_("when"), editable=False)
    recorded_at = models.DateTimeField(_("recorded"), default=timezone.now, editable=False)
    sync_xid = SyncXidField()

    class Meta:
        db_table = "transactions"
        verbose_name = _("purchase")
        verbose_name_plural = _("purchases")
        constraints = [
            models.UniqueConstraint(
                fields=["business", "external_id"],
                condition=Q(external_id__isnull=False),
                name="idx_transactions_external_unique",
            ),
            models.CheckConstraint(
                name="transactions_sign_follows_kind",
                condition=Q(
                    kind="purchase",
                    amount__gt=0,
                    coupon_discount__gte=0,
                    bonus_redeemed__gte=0,
                    bonus_accrued__gte=0,
                )
                | Q(
                    kind="refund",
                    amount__lt=0,
                    coupon_discount__lte=0,
                    bonus_redeemed__lte=0,
                    bonus_accrued__lte=0,
                ),
            ),
            models.CheckConstraint(
                name="transactions_refund_names_purchase",
                condition=Q(kind="purchase", refund_of__isnull=True)
                | Q(kind="refund", refund_of__isnull=False),
            ),
            models.CheckConstraint(
                name="transactions_paid_not_beyond_amount",
                condition=Q(kind="refund") | Q(coupon_discount__lte=F("amount") - F("bonus_redeemed")),
            ),
        ]
        indexes = [
            Index("member", F("created_at").desc(), name="idx_transactions_user_created"),
            Index("business", F("created_at").desc(), name="idx_transactions_business"),
            Index(fields=["external_id"], name="idx_transactions_external_id"),
            Index(fields=["sync_xid"], name="idx_transactions_sync_xid"),
            Index(
                fields=["refund_of"], condition=Q(refund_of__isnull=False), name="idx_transactions_refund_of"
            ),
            Index(fields=["coupon"], condition=Q(coupon__isnull=False), name="idx_transactions_coupon"),
        ]
        triggers = [stamp_sync_xid(), append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return self.external_id or str(self.pk)


class ParkedRefundQuerySet(models.QuerySet["ParkedRefund"]):
    def overdue(self, at: datetime) -> "ParkedRefundQuerySet":
        """Refunds that have waited for their purchase for `PARKED_REFUND_DAYS` by that moment."""
        return self.filter(created_at__lte=at - timedelta(days=settings.PARKED_REFUND_DAYS))


class ParkedRefund(Record):
    """A refund that came before its purchase; it is applied when the purchase comes."""

    business = models.ForeignKey(
        "Business", models.CASCADE, db_index=False, related_name="parked_refunds", verbose_name=_("business")
    )
    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="parked_refunds"
    )
    external_id = models.CharField(_("receipt"), max_length=200)
    refund_of = models.CharField(_("purchase's receipt"), max_length=200)
    amount = MoneyField(_("amount, ₽"))
    purchased_at = models.DateTimeField(_("when"))
    category = models.CharField(_("category"), max_length=200, blank=True)
    request_hash = models.CharField(max_length=64)
    source = models.CharField(_("source"), max_length=6, choices=Transaction.Source)

    objects = ParkedRefundQuerySet.as_manager()

    class Meta:
        db_table = "parked_refunds"
        verbose_name = _("parked refund")
        verbose_name_plural = _("parked refunds")
        constraints = [
            models.UniqueConstraint(fields=["business", "external_id"], name="idx_parked_refunds_external"),
            models.CheckConstraint(name="parked_refunds_amount_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            Index(fields=["business", "refund_of"], name="idx_parked_refunds_purchase"),
            Index(fields=["member"], name="idx_parked_refunds_user"),
        ]
        triggers = audited(
            "business_id",
            "user_id",
            "external_id",
            "refund_of",
            "amount",
            "purchased_at",
            "category",
            "source",
        )

    def __str__(self) -> str:
        return self.external_id
