"""Lots, ledger entries and the balance kept from them."""

from datetime import datetime
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited, audited_append_only
from svoykrug.db.models import Index, MoneyField, Record, SyncXidField, append_only, stamp_sync_xid

from .truth import balances_proven, entries_proven, lots_proven


class Bonus(Record):
    """A member's balance, kept by the transaction that writes the entries; the entries are the truth.

    balance         sum of the member's entries outside pending lots, debt and write-offs apart
    pending         in lots that could not be spent yet when this row was last written
    debt            taken back by refunds beyond what the member still had
    expires_at      the soonest expiry among lots with something left; past it, count the lots
    entries         how many entries the member has: the position of the last one
    turnover_bound  roubles; the qualifying turnover at or after `turnover_as_of` is not above it,
                    so a purchase adds the year up only when this reaches the next tier
    """

    member = models.ForeignKey(
        "Member",
        models.CASCADE,
        db_column="user_id",
        db_index=False,
        related_name="bonuses",
        verbose_name=_("member"),
    )
    balance = MoneyField(_("balance"), default=Decimal("0.00"))
    pending = MoneyField(_("pending"), default=Decimal("0.00"))
    debt = MoneyField(_("debt"), default=Decimal("0.00"))
    expires_at = models.DateTimeField(_("soonest expiry"), null=True, blank=True)
    entries = models.PositiveIntegerField(default=0, editable=False)
    turnover_bound = MoneyField(default=Decimal("0.00"), editable=False)
    turnover_as_of = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "bonuses"
        verbose_name = _("balance")
        verbose_name_plural = _("balances")
        constraints = [
            models.UniqueConstraint(fields=["member"], name="idx_bonuses_user"),
            models.CheckConstraint(
                name="bonuses_never_negative", condition=Q(balance__gte=0, pending__gte=0, debt__gte=0)
            ),
        ]
        indexes = [
            Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="idx_bonuses_expires")
        ]
        triggers = [
            *balances_proven(),
            *audited(
                "user_id", "balance", "pending", "debt", "expires_at",
                unrecorded=("entries", "turnover_bound", "turnover_as_of"),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return str(self.balance)


class BonusLotQuerySet(models.QuerySet["BonusLot"]):
    def live(self, at: datetime) -> "BonusLotQuerySet":
        """Lots that may be spent at that moment."""
        return self.filter(remaining__gt=0, available_from__lte=at, expires_at__gt=at)

    def pending(self, at: datetime) -> "BonusLotQuerySet":
        return self.filter(remaining__gt=0, available_from__gt=at)

    def by_expiry(self) -> "BonusLotQuerySet":
        return self.order_by("expires_at", "id")


class BonusLot(Record):
    """One accrual and what is left of it."""

    class Kind(models.TextChoices):
        PURCHASE = "purchase", _("purchase")
        OFFER = "offer", _("offer")
        REFERRAL = "referral", _("invitation")
        EVENT = "event", _("event")
        ADJUSTMENT = "adjustment", _("adjustment")

    member = models.ForeignKey(
        "Member", models.PROTECT, db_column="user_id", db_index=False, related_name="lots"
    )
    issuer = models.ForeignKey(
        "Business", models.PROTECT, db_index=False, related_name="issued_lots", verbose_name=_("given by")
    )
    transaction = models.ForeignKey(
        "Transaction", models.PROTECT, db_index=False, null=True, blank=True, related_name="lots"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    accrued = MoneyField(_("accrued"))
    remaining = MoneyField(_("left"))
    available_from = models.DateTimeField(_("may be spent from"))
    expires_at = models.DateTimeField(_("expires"))

    objects = BonusLotQuerySet.as_manager()

    class Meta:
        db_table = "bonus_lots"
        verbose_name = _("lot of bonuses")
        verbose_name_plural = _("lots of bonuses")
        constraints = [
            models.CheckConstraint(
                name="bonus_lots_remaining_within_accrued",
                condition=Q(remaining__gte=0, remaining__lte=F("accrued")),
            ),
            models.CheckConstraint(
                name="bonus_lots_expire_after_available", condition=Q(expires_at__gt=F("available_from"))
            ),
        ]
        indexes = [
            Index(
                fields=["member", "expires_at"], condition=Q(remaining__gt=0), name="idx_bonus_lots_user_left"
            ),
            Index(fields=["member"], name="idx_bonus_lots_user"),
            Index(fields=["issuer"], name="idx_bonus_lots_issuer"),
            Index(fields=["transaction"], name="idx_bonus_lots_transaction"),
        ]
        triggers = [
            *lots_proven(),
            *audited(
                "user_id",
                "issuer_id",
                "transaction_id",
                "kind",
                "accrued",
                "remaining",
                "available_from",
                "expires_at",
                inserted_values=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining}/{self.accrued}"


class BonusEntry(Record):
    """An immutable change of one lot. `created_at` is when it took effect.

    Debt, its repayment and write-offs hang on the lot of the purchase they come from, but only
    a repayment changes that lot: debt and write-off say what could not be taken from any lot.
    A write-off above zero is one made good by bonuses that a later refund restored.

    The entries of a member form a chain, which the database checks on every insert:
    position     1, 2, 3 … in the order of recording
    total_after  balance and pending together after this entry
    debt_after   debt after this entry
    """

    class Kind(models.TextChoices):
        ACCRUAL = "accrual", _("accrual")
        REDEMPTION = "redemption", _("redemption")
        RESTORATION = "restoration", _("restoration")
        EXPIRY = "expiry", _("expiry")
        REVERSAL = "reversal", _("reversal")
        WRITE_OFF = "write_off", _("write-off")
        DEBT = "debt", _("debt")
        DEBT_REPAYMENT = "debt_repayment", _("debt repayment")

    # Entries of these kinds change no lot and no balance.
    MEMO_KINDS = (Kind.DEBT, Kind.WRITE_OFF)

    lot = models.ForeignKey("BonusLot", models.PROTECT, db_index=False, related_name="entries")
    member = models.ForeignKey(
        "Member", models.PROTECT, db_column="user_id", db_index=False, related_name="entries"
    )
    kind = models.CharField(_("kind"), max_length=14, choices=Kind)
    amount = MoneyField()
    position = models.PositiveIntegerField(editable=False)
    total_after = MoneyField(editable=False)
    debt_after = MoneyField(default=Decimal("0.00"), editable=False)
    transaction = models.ForeignKey(
        "Transaction", models.PROTECT, db_index=False, null=True, blank=True, related_name="entries"
    )
    honoured_by = models.ForeignKey(
        "Business",
        models.PROTECT,
        db_column="honoured_by",
        db_index=False,
        null=True,
        blank=True,
        related_name="honoured_entries",
        verbose_name=_("honoured by"),
    )
    recorded_at = models.DateTimeField(_("recorded"), default=timezone.now, editable=False)
    sync_xid = SyncXidField()

    class Meta:
        db_table = "bonus_entries"
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            models.CheckConstraint(
                name="bonus_entries_sign_follows_kind",
                condition=Q(kind__in=["accrual", "restoration"], amount__gt=0)
                | Q(
                    kind__in=["redemption", "expiry", "reversal", "debt", "debt_repayment"],
                    amount__lt=0,
                )
                | (Q(kind="write_off") & ~Q(amount=0)),
            ),
            models.CheckConstraint(
                name="bonus_entries_spending_names_honourer",
                condition=~Q(kind__in=["redemption", "restoration"]) | Q(honoured_by__isnull=False),
            ),
            models.UniqueConstraint(fields=["member", "position"], name="idx_bonus_entries_user_position"),
            models.CheckConstraint(
                name="bonus_entries_after_never_negative", condition=Q(total_after__gte=0, debt_after__gte=0)
            ),
        ]
        indexes = [
            Index("member", F("created_at").desc(), name="idx_bonus_entries_user_created"),
            Index(fields=["lot"], name="idx_bonus_entries_lot"),
            Index(fields=["transaction"], name="idx_bonus_entries_transaction"),
            Index(
                fields=["honoured_by"],
                condition=Q(honoured_by__isnull=False),
                name="idx_bonus_entries_honoured_by",
            ),
            Index(fields=["sync_xid"], name="idx_bonus_entries_sync_xid"),
        ]
        triggers = [stamp_sync_xid(), append_only(), *entries_proven(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class BonusHoldQuerySet(models.QuerySet["BonusHold"]):
    def live(self, at: datetime) -> "BonusHoldQuerySet":
        """Holds that keep bonuses from being spent elsewhere at that moment."""
        return self.filter(released_at=None, expires_at__gt=at)


class BonusHold(Record):
    """Bonuses set aside for a purchase that was quoted. It lowers what is available, not the balance.

    One that ran out counts no more, whether or not anybody released it.
    """

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="holds"
    )
    business = models.ForeignKey("Business", models.CASCADE, db_index=False, related_name="holds")
    amount = MoneyField(_("amount"))
    expires_at = models.DateTimeField(_("holds until"))
    released_at = models.DateTimeField(null=True, blank=True)

    objects = BonusHoldQuerySet.as_manager()

    class Meta:
        db_table = "bonus_holds"
        verbose_name = _("hold of bonuses")
        verbose_name_plural = _("holds of bonuses")
        constraints = [
            models.CheckConstraint(name="bonus_holds_amount_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            Index(fields=["member", "expires_at"], name="idx_bonus_holds_user"),
            Index(fields=["business"], name="idx_bonus_holds_business"),
        ]
        triggers = audited(
            "user_id", "business_id", "amount", "expires_at", "released_at", inserted_values=False
        )

    def __str__(self) -> str:
        return str(self.amount)
