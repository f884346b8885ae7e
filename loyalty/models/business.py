"""Partner businesses, the programme itself, and what lets their machines in."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, MoneyField

PROGRAMME_CODE = "KRUG"


class RealBusinesses(models.Manager["Business"]):
    """Hides sandboxes, so that no list, choice or import ever meets one."""

    def get_queryset(self) -> models.QuerySet["Business"]:
        return super().get_queryset().filter(is_sandbox=False)


class Business(ChangingRecord):
    """A partner of the circle and its terms. The row coded KRUG is the programme itself."""

    code = models.CharField(
        _("code"), max_length=32, help_text=_("How tills and imports name this business.")
    )
    name = models.CharField(_("name"), max_length=120)
    legal_name = models.CharField(_("legal name"), max_length=200, blank=True)
    inn = models.CharField(_("taxpayer number"), max_length=12, blank=True)
    category = models.CharField(_("category"), max_length=60, blank=True)
    address = models.CharField(_("address"), max_length=200, blank=True)
    phone = models.CharField(_("phone"), max_length=16, blank=True)
    logo = models.CharField(_("logo"), max_length=200, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_programme = models.BooleanField(_("the programme itself"), default=False, editable=False)
    can_accrue = models.BooleanField(_("gives bonuses"), default=True)
    can_redeem = models.BooleanField(_("takes bonuses"), default=True)
    point_price_rub = models.DecimalField(
        _("price of a bonus, ₽"), max_digits=6, decimal_places=4, default=1,
        help_text=_("What this business owes for each of its bonuses spent elsewhere."),
    )  # fmt: skip
    redemption_cap_percent = models.DecimalField(
        _("own limit of payment by bonuses, %"), max_digits=5, decimal_places=2, null=True, blank=True
    )
    pending_days = models.PositiveSmallIntegerField(_("days before bonuses may be spent"), default=0)
    no_earn_categories = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("categories that earn nothing"),
        default=list,
        blank=True,
        help_text=_("Purchases and lines of these categories bring no bonuses: tobacco, gift cards."),
    )
    requires_presence_code = models.BooleanField(_("asks for the member's code"), default=True)
    credit_limit_rub = MoneyField(_("credit limit, ₽"), null=True, blank=True)
    stops_accrual_over_limit = models.BooleanField(_("stops giving bonuses over the limit"), default=False)
    # Kept by loyalty.services.webhooks: whoever records a purchase need not ask for endpoints.
    has_webhooks = models.BooleanField(default=False, editable=False)
    # A copy that test keys act on (loyalty.services.sandbox).
    is_sandbox = models.BooleanField(default=False, db_default=False, editable=False)

    objects = RealBusinesses()
    with_sandboxes = models.Manager["Business"]()

    class Meta:
        db_table = "businesses"
        verbose_name = _("business")
        verbose_name_plural = _("businesses")
        constraints = [
            models.UniqueConstraint(fields=["code"], name="idx_businesses_code"),
            # The code is unique, so this also keeps the programme a single row.
            models.CheckConstraint(
                name="businesses_one_programme",
                condition=models.Q(is_programme=True, code=PROGRAMME_CODE)
                | (models.Q(is_programme=False) & ~models.Q(code=PROGRAMME_CODE)),
            ),
            models.CheckConstraint(
                name="businesses_programme_is_real",
                condition=models.Q(is_programme=False) | models.Q(is_sandbox=False),
            ),
            models.CheckConstraint(
                name="businesses_point_price_not_negative", condition=models.Q(point_price_rub__gte=0)
            ),
            models.CheckConstraint(
                name="businesses_redemption_cap_within_hundred",
                condition=models.Q(redemption_cap_percent__isnull=True)
                | models.Q(redemption_cap_percent__gte=0, redemption_cap_percent__lte=100),
            ),
        ]
        triggers = audited(
            "code",
            "name",
            "legal_name",
            "inn",
            "category",
            "address",
            "logo",
            "is_active",
            "is_programme",
            "can_accrue",
            "can_redeem",
            "point_price_rub",
            "redemption_cap_percent",
            "pending_days",
            "no_earn_categories",
            "requires_presence_code",
            "credit_limit_rub",
            "stops_accrual_over_limit",
            "has_webhooks",
            "is_sandbox",
        )

    def __str__(self) -> str:
        return gettext("%(business)s (sandbox)") % {"business": self.name} if self.is_sandbox else self.name


class ApiKey(ChangingRecord):
    """What a till or a CRM of one business calls the API with; only its hash is kept."""

    class Scope(models.TextChoices):
        PURCHASES_WRITE = "purchases:write", _("record purchases")
        PURCHASES_READ = "purchases:read", _("read purchases")
        MEMBERS_READ = "members:read", _("look up members")
        COUPONS_READ = "coupons:read", _("check coupons")
        ANALYTICS_READ = "analytics:read", _("read analytics")

    business = models.ForeignKey(
        "Business", models.CASCADE, db_index=False, related_name="api_keys", verbose_name=_("business")
    )
    # The copy of the business that a test key acts on, and nothing else; empty for a live key.
    sandbox = models.ForeignKey(
        "Business", models.CASCADE, db_index=False, null=True, blank=True, related_name="test_keys"
    )
    label = models.CharField(_("what for"), max_length=80, blank=True)
    prefix = models.CharField(_("begins with"), max_length=16)
    key_hash = models.CharField(max_length=64)
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope), verbose_name=_("allowed to"), default=list
    )
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        db_table = "api_keys"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints = [models.UniqueConstraint(fields=["key_hash"], name="idx_api_keys_key_hash")]
        indexes = [
            Index(fields=["business"], name="idx_api_keys_business"),
            Index(fields=["sandbox"], condition=models.Q(sandbox__isnull=False), name="idx_api_keys_sandbox"),
        ]
        triggers = audited("business_id", "sandbox_id", "label", "prefix", "scopes", "revoked_at")

    def __str__(self) -> str:
        return f"{self.prefix}…"
