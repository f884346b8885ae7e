"""Members of the circle; staff are members with memberships of staff."""

import secrets
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from svoykrug.db.audit import audited
from svoykrug.db.models import ChangingRecord, Index, Record

CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_referral_code() -> str:
    """Return 8 characters that nobody confuses when reading them aloud."""
    return "".join(secrets.choice(CODE_ALPHABET) for _place in range(8))


# No network has these numbers, so nobody is ever called by a test.
SANDBOX_PHONES = "+7100"


class MemberManager(BaseUserManager["Member"]):
    """The people of the circle; members of sandboxes are hidden, so that nothing ever reaches them."""

    def get_queryset(self) -> models.QuerySet["Member"]:
        return super().get_queryset().filter(is_sandbox=False)

    def get_by_natural_key(self, username: str | None) -> "Member":
        return self.get(phone=username)

    def create_user(self, phone: str, password: str | None = None, **fields: Any) -> "Member":
        """Create a member; without a password the member signs in by a phone code only."""
        member = self.model(phone=phone, **fields)
        if "status_tier_id" not in fields and "status_tier" not in fields:
            member.status_tier = self.model._meta.get_field("status_tier").related_model.objects.get(level=1)
        member.set_password(password)
        member.save(using=self._db)
        return member


class Member(AbstractBaseUser, ChangingRecord):
    """A person of the circle. `phone` is empty for an imported card that nobody has claimed yet."""

    phone = models.CharField(_("phone"), max_length=16, null=True, blank=True)
    card_number = models.CharField(_("card number"), max_length=64, null=True, blank=True)
    first_name = models.CharField(_("first name"), max_length=80, blank=True)
    last_name = models.CharField(_("last name"), max_length=80, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    city = models.CharField(_("city"), max_length=80, blank=True)
    language = models.CharField(
        _("language"), max_length=2, choices=[("ru", "Русский"), ("en", "English")], default="ru"
    )
    status_tier = models.ForeignKey(
        "StatusTier",
        models.PROTECT,
        db_column="status_tier",
        db_index=False,
        related_name="members",
        verbose_name=_("tier"),
    )
    tier_valid_until = models.DateTimeField(_("tier holds until"), null=True, blank=True)
    referral_code = models.CharField(_("referral code"), max_length=16, default=new_referral_code)
    referred_by = models.ForeignKey(
        "self",
        models.SET_NULL,
        db_column="referred_by",
        db_index=False,
        null=True,
        blank=True,
        related_name="invited",
        verbose_name=_("invited by"),
    )
    is_staff = models.BooleanField(_("may enter the admin"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    anonymised_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Since when the second factor counts (SecondFactor); here, so that no page of the admin asks twice.
    second_factor_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Made up, for test keys (loyalty.services.sandbox).
    is_sandbox = models.BooleanField(default=False, db_default=False, editable=False)

    # Of a page of the admin: whether the member was handed over to whoever reads it.
    is_known_to_reader = False

    objects = MemberManager()
    with_sandboxes = models.Manager["Member"]()

    USERNAME_FIELD = "phone"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        db_table = "users"
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(fields=["phone"], name="idx_users_phone"),
            models.UniqueConstraint(fields=["card_number"], name="idx_users_card_number"),
            models.UniqueConstraint(fields=["referral_code"], name="idx_users_referral_code"),
            models.CheckConstraint(
                name="users_phone_is_e164", condition=models.Q(phone__regex=r"^\+[1-9][0-9]{6,14}$")
            ),
            models.CheckConstraint(
                name="users_sandbox_by_phone",
                condition=models.Q(is_sandbox=True, phone__startswith=SANDBOX_PHONES, is_staff=False)
                | models.Q(is_sandbox=False, phone__isnull=True)
                | (models.Q(is_sandbox=False) & ~models.Q(phone__startswith=SANDBOX_PHONES)),
            ),
            models.CheckConstraint(
                name="users_not_referred_by_self", condition=~models.Q(referred_by=models.F("id"))
            ),
        ]
        indexes = [
            Index(fields=["status_tier"], name="idx_users_status_tier"),
            Index(fields=["referred_by"], name="idx_users_referred_by"),
        ]
        triggers = audited(
            "status_tier",
            "tier_valid_until",
            "language",
            "referred_by",
            "is_staff",
            "is_active",
            "anonymised_at",
            "second_factor_at",
            "is_sandbox",
        )

    def __str__(self) -> str:
        # What a partner may see: the admin prints this wherever a row points at a member.
        return self.first_name or self.card_number or self.masked_phone

    def get_full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    def get_short_name(self) -> str:
        return self.first_name

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        # Django ends sessions whose hash is not this one any more: as a new password, so a new factor.
        plain = str(super()._get_session_auth_hash(secret))  # type: ignore[misc]
        if self.second_factor_at is None:
            return plain
        return salted_hmac(plain, self.second_factor_at.isoformat(), secret=secret).hexdigest()

    @property
    def masked_phone(self) -> str:
        """The phone as partners may see it: `+7 ••• •••-42-17`."""
        return f"{self.phone[:2]} ••• •••-{self.phone[-4:-2]}-{self.phone[-2:]}" if self.phone else ""

    # Django admin asks these; what a person may do follows from the memberships of staff,
    # and each admin page narrows its rows and actions to them (loyalty/staff.py).
    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return self.is_active and self.is_staff and self.is_programme_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff

    @property
    def is_superuser(self) -> bool:
        return self.is_programme_staff

    @property
    def is_programme_staff(self) -> bool:
        """Whether the member works for the programme itself and so sees every business."""
        if not hasattr(self, "_is_programme_staff"):
            self._is_programme_staff = self.staff_memberships.filter(business__is_programme=True).exists()
        return self._is_programme_staff


class StaffMembership(Record):
    """Who works where and as what."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        MANAGER = "manager", _("manager")
        CASHIER = "cashier", _("cashier")

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="staff_memberships"
    )
    business = models.ForeignKey(
        "Business",
        models.CASCADE,
        db_index=False,
        related_name="staff_memberships",
        verbose_name=_("business"),
    )
    role = models.CharField(_("role"), max_length=10, choices=Role)

    class Meta:
        db_table = "staff_memberships"
        verbose_name = _("team member")
        verbose_name_plural = _("team")
        constraints = [
            models.UniqueConstraint(fields=["member", "business"], name="idx_staff_memberships_user_business")
        ]
        indexes = [Index(fields=["business", "role"], name="idx_staff_memberships_business")]
        triggers = audited("user_id", "business_id", "role")

    def __str__(self) -> str:
        return f"{self.member} · {self.business} · {self.get_role_display()}"


class ReferralCode(ChangingRecord):
    """An invitation code and what it brought.

    `users.referral_code` says which code is a member's own; the row here is written when somebody
    first joins by it. The counts are kept beside `referrals`, which are the truth.
    """

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="referral_codes"
    )
    code = models.CharField(_("code"), max_length=16)
    invited_count = models.PositiveIntegerField(default=0)
    rewarded_count = models.PositiveIntegerField(default=0)
    monthly_limit = models.PositiveSmallIntegerField(default=10)
    is_active = models.BooleanField(default=True)

    class Meta:
        db_table = "referral_codes"
        constraints = [models.UniqueConstraint(fields=["code"], name="idx_referral_codes_code")]
        indexes = [Index(fields=["member"], name="idx_referral_codes_user")]
        triggers = audited("user_id", "invited_count", "rewarded_count", "monthly_limit", "is_active")

    def __str__(self) -> str:
        return self.code


class Session(Record):
    """A device's refresh token: its hash, never the token."""

    member = models.ForeignKey(
        "Member", models.CASCADE, db_column="user_id", db_index=False, related_name="device_sessions"
    )
    family = models.UUIDField()
    token_hash = models.CharField(max_length=64)
    # Of staff, who signed in by password and second factor: ends with either. Empty for a member's own.
    auth_hash = models.CharField(max_length=64, blank=True, db_default="")
    user_agent = models.CharField(max_length=300, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    expires_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=40, blank=True)

    class Meta:
        db_table = "sessions"
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="idx_sessions_token_hash")]
        indexes = [Index(fields=["member", "family"], name="idx_sessions_user_family")]
        triggers = audited("user_id", "family", "expires_at", "rotated_at", "revoked_at", "reason")

    def __str__(self) -> str:
        return f"{self.user_agent or self.family}"
