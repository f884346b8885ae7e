"""Offers as their owners build them, their frozen versions, and every use of them."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited, audited_append_only
from svoykrug.db.models import ChangingRecord, Index, MoneyField, Record, append_only


class Offer(ChangingRecord):
    """The terms here are the owner's working copy; purchases meet the version frozen last.

    version     how many versions are frozen; 0 of one never published
    live_since  purchases dated earlier do not meet the offer
    uses_count, bonuses_given, discount_given  kept by the checkout, less what full refunds gave back
    """

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
    version = models.PositiveIntegerField(_("version"), default=0, editable=False)
    live_since = models.DateTimeField(_("in force since"), null=True, blank=True, editable=False)
    uses_count = models.PositiveIntegerField(_("uses"), default=0, editable=False)
    bonuses_given = MoneyField(_("bonuses given"), default=0, editable=False)
    discount_given = MoneyField(_("discount given, ₽"), default=0, editable=False)

    class Meta:
        db_table = "offer_constructor"
        verbose_name = _("offer")
        verbose_name_plural = _("offers")
        constraints = [
            models.CheckConstraint(
                name="offer_constructor_published_is_frozen",
                condition=~Q(status="published") | Q(version__gt=0, live_since__isnull=False),
            ),
        ]
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
            "live_since",
            # Every use is a row of its own.
            unrecorded=("uses_count", "bonuses_given", "discount_given"),
        )

    def __str__(self) -> str:
        return self.title


class OfferVersion(Record):
    """Terms as they were published; `created_at` is when. A stored purchase is replayed by them."""

    offer = models.ForeignKey(Offer, models.PROTECT, db_index=False, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    title = models.CharField(_("title"), max_length=120)
    conditions = models.JSONField(_("conditions"))
    effect = models.JSONField(_("effect"))
    stacking = models.CharField(_("stacking"), max_length=9, choices=Offer.Stacking)
    priority = models.SmallIntegerField(_("priority"))
    per_member_limit = models.PositiveIntegerField(_("uses per member"), null=True)
    per_member_day_limit = models.PositiveIntegerField(_("uses per member and day"), null=True)
    total_uses_limit = models.PositiveIntegerField(_("uses in all"), null=True)
    total_bonus_limit = MoneyField(_("bonuses in all"), null=True)

    class Meta:
        db_table = "offer_versions"
        verbose_name = _("version of an offer")
        verbose_name_plural = _("versions of offers")
        constraints = [
            models.UniqueConstraint(fields=["offer", "number"], name="idx_offer_versions_offer"),
            models.CheckConstraint(name="offer_versions_number_from_one", condition=Q(number__gt=0)),
        ]
        triggers = [append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.title} · {self.number}"


class OfferUse(Record):
    """What an offer gave a purchase; a full refund gives it back by a row of the opposite sign.

    uses  1, or −1 of a refund; bonuses and discount have the same sign
    day   of the purchase in programme time, by which the limit per day counts
    """

    offer = models.ForeignKey(Offer, models.PROTECT, db_index=False, related_name="uses")
    version = models.PositiveIntegerField(_("version"))
    member = models.ForeignKey(
        "loyalty.Member", models.PROTECT, db_column="user_id", db_index=False, related_name="offer_uses"
    )
    transaction = models.ForeignKey(
        "loyalty.Transaction", models.PROTECT, db_index=False, related_name="offer_uses"
    )
    uses = models.SmallIntegerField()
    bonuses = MoneyField(_("bonuses"))
    discount = MoneyField(_("discount, ₽"))
    day = models.DateField(_("day"))

    class Meta:
        db_table = "offer_uses"
        verbose_name = _("use of an offer")
        verbose_name_plural = _("uses of offers")
        constraints = [
            models.UniqueConstraint(fields=["transaction", "offer"], name="idx_offer_uses_transaction"),
            models.CheckConstraint(
                name="offer_uses_one_sign",
                condition=Q(uses=1, bonuses__gte=0, discount__gte=0)
                | Q(uses=-1, bonuses__lte=0, discount__lte=0),
            ),
        ]
        indexes = [
            Index(fields=["member", "offer", "day"], name="idx_offer_uses_user"),
            Index("offer", F("created_at").desc(), name="idx_offer_uses_offer"),
        ]
        triggers = [append_only(), *audited_append_only()]

    def __str__(self) -> str:
        return f"{self.offer_id} {self.uses:+}"
