"""What a chain did about a purchase: the arm of the member, and who pays for the discount."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited, audited_append_only
from svoykrug.db.models import Index, MoneyField, Record, append_only


class ChainAssignment(Record):
    """A trigger of a chain for a member and the arm it fell into. `created_at` is the trigger's time.

    `skipped` counts members whom the chain leaves out, by `reason`; they belong to neither arm.

    due_at  when a delayed coupon is to be issued, while nobody has looked whether it still may be.
            The hold-out waits as well, so that both arms lose the same members meanwhile
    """

    class Arm(models.TextChoices):
        TREATMENT = "treatment", _("coupon")
        CONTROL = "control", _("hold-out")
        SKIPPED = "skipped", _("left out")

    class Reason(models.TextChoices):
        ALREADY_CUSTOMER = "already_customer", _("already a customer of the target")
        NO_CONSENT = "no_consent", _("no consent to advertising of the target")
        TOTAL_LIMIT = "total_limit", _("all coupons are issued")
        DAILY_LIMIT = "daily_limit", _("the day's coupons are issued")
        BUDGET = "budget", _("the budget is spent")
        REFUNDED = "refunded", _("the purchase was refunded before the coupon came")
        STOPPED = "stopped", _("the chain was stopped before the coupon came")
        LATE = "late", _("the coupon would have run out already")

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
    reason = models.CharField(max_length=16, choices=Reason, blank=True, default="", db_default="")
    chain_version = models.PositiveIntegerField(default=1, db_default=1)
    due_at = models.DateTimeField(null=True, blank=True)
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
            models.CheckConstraint(
                name="chain_assignments_only_skipped_has_reason",
                condition=Q(arm="skipped") | Q(reason=""),
            ),
            models.CheckConstraint(
                name="chain_assignments_due_before_the_coupon",
                condition=Q(due_at__isnull=True) | (~Q(arm="skipped") & Q(coupon__isnull=True)),
            ),
        ]
        indexes = [
            Index(fields=["chain", "created_at"], name="idx_chain_assignments_chain"),
            Index(fields=["member", "chain"], name="idx_chain_assignments_user"),
            Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="idx_chain_assignments_due"),
            Index(fields=["coupon"], condition=Q(coupon__isnull=False), name="idx_chain_assignments_coupon"),
            Index(
                fields=["converted"],
                condition=Q(converted__isnull=False),
                name="idx_chain_assignments_converted",
            ),
        ]
        triggers = audited(
            "chain_id",
            "user_id",
            "trigger_id",
            "arm",
            "reason",
            "chain_version",
            "due_at",
            "coupon_id",
            "converted_id",
        )

    def __str__(self) -> str:
        return f"{self.chain_id} {self.arm}"


class ChainCostShare(Record):
    """What the source owes the target for a discount given by a coupon of their chain.

    One row for a purchase that redeems such a coupon, and one of the opposite sign for each of its
    refunds; all rows of a purchase refunded whole add up to zero. `created_at` is the purchase's
    or refund's own time.

    version   of the chain that brought the coupon: its share counts, whatever is agreed since
    discount  roubles that the coupon took off; amount  the part of them that the source owes,
              0 where it covers no share
    """

    transaction = models.ForeignKey(
        "loyalty.Transaction", models.PROTECT, db_index=False, related_name="chain_cost_shares"
    )
    chain = models.ForeignKey("CrossPromoChain", models.PROTECT, db_index=False, related_name="cost_shares")
    version = models.PositiveIntegerField()
    debtor = models.ForeignKey("loyalty.Business", models.PROTECT, db_index=False, related_name="+")
    creditor = models.ForeignKey("loyalty.Business", models.PROTECT, db_index=False, related_name="+")
    discount = MoneyField()
    amount = MoneyField()

    class Meta:
        db_table = "chain_cost_shares"
        constraints = [
            models.UniqueConstraint(fields=["transaction"], name="idx_chain_cost_shares_transaction"),
            models.CheckConstraint(
                name="chain_cost_shares_two_businesses", condition=~Q(debtor=F("creditor"))
            ),
            models.CheckConstraint(
                name="chain_cost_shares_amount_within_discount",
                condition=Q(discount__gt=0, amount__gte=0, amount__lte=F("discount"))
                | Q(discount__lt=0, amount__lte=0, amount__gte=F("discount")),
            ),
        ]
        indexes = [
            Index(fields=["chain", "created_at"], name="idx_chain_cost_shares_chain"),
            Index(fields=["debtor", "created_at"], name="idx_chain_cost_shares_debtor"),
            Index(fields=["creditor", "created_at"], name="idx_chain_cost_shares_creditor"),
        ]
        triggers = [append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.amount}"
