"""Partners, their people and the chains they agreed on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from loyalty.models import Business, Member, StaffMembership
from loyalty.models.business import PROGRAMME_CODE
from promos.models import CrossPromoChain
from promos.models.coupon import Benefit
from promos.services import chains

from .sample import packaged_businesses

CHAINS_RUN_DAYS = 365
SHOWN_BUSINESS = "B04"
Role = StaffMembership.Role


@dataclass(frozen=True, slots=True)
class Login:
    """A demo login; the passwords are public, so production refuses the demo."""

    title: str
    phone: str
    password: str
    business: str
    role: str
    first_name: str


LOGINS = (
    Login("programme owner", "+79000000001", "krug-owner-demo", PROGRAMME_CODE, Role.OWNER, "Вера"),
    Login("business owner", "+79000000002", "chai-owner-demo", SHOWN_BUSINESS, Role.OWNER, "Марина"),
    Login("cashier", "+79000000003", "chai-kassa-demo", SHOWN_BUSINESS, Role.CASHIER, "Тимур"),
)


@dataclass(frozen=True, slots=True)
class DemoChain:
    """Terms of a chain, and how its members react, in per cent of those who drew an arm.

    own_percent       come to the target by themselves, whatever the arm
    redeemed_percent  redeem the coupon, of those who got one: the effect that is put in
    """

    source: str
    target: str
    title: str
    own_percent: int
    redeemed_percent: int
    terms: dict[str, Any]


# Large hold-outs: of the small demo's thousand members only so do both arms pass the hundred that a
# comparison needs.
CHAINS = (
    DemoChain("B04", "B11", "К чаю: скидка на украшения", 6, 34, {
        "coupon_benefit": Benefit.PERCENT, "coupon_value": Decimal(15), "coupon_valid_days": 21,
        "discount_share_percent": Decimal(30), "holdout_percent": Decimal(50),
    }),
    DemoChain("B03", "B04", "Испекли? Чай за наш счёт", 5, 28, {
        "coupon_benefit": Benefit.FIXED, "coupon_value": Decimal(200), "coupon_valid_days": 14,
        "coupon_min_amount": Decimal(500), "trigger_min_amount": Decimal(300),
        "holdout_percent": Decimal(50),
    }),
    DemoChain("B04", "B14", "К чаю — тёплый плед", 8, 17, {
        "coupon_benefit": Benefit.PERCENT, "coupon_value": Decimal(20), "coupon_valid_days": 30,
        "discount_share_percent": Decimal(50), "holdout_percent": Decimal(40),
    }),
    # Hardly anybody moves: the comparison must not find what is not there.
    DemoChain("B05", "B09", "К кухне — праздник", 9, 2, {
        "coupon_benefit": Benefit.MULTIPLIER, "coupon_value": Decimal(2), "coupon_valid_days": 30,
        "holdout_percent": Decimal(40),
    }),
    # The usual hold-out of a tenth: for a comparison that takes more members than the small demo has.
    DemoChain("B13", "B04", "После бани — чай", 4, 12, {
        "coupon_benefit": Benefit.GIFT, "coupon_text": "Чайник травяного чая", "coupon_value": Decimal(0),
        "coupon_valid_days": 30,
    }),
)  # fmt: skip


def create_businesses() -> None:
    """Create the twenty partners; those that exist stay as they are."""
    for row in packaged_businesses():
        fields = {"name": row["name"], "category": row["category"], "address": row["address"]}
        Business.objects.get_or_create(code=row["code"], defaults=fields)


def create_logins() -> Member:
    """Create the demo staff. Returns the programme's owner."""
    businesses = {business.code: business for business in Business.objects.all()}
    for login in LOGINS:
        member = Member.objects.filter(phone=login.phone).first() or Member.objects.create_user(
            login.phone, login.password, first_name=login.first_name, is_staff=True
        )
        StaffMembership.objects.get_or_create(
            member=member, business=businesses[login.business], defaults={"role": login.role}
        )
    return Member.objects.get(phone=LOGINS[0].phone)


def agree_on_chains(*, owner: Member, now: datetime) -> None:
    """Have the partners agree on their chains, in force for the last year of the history."""
    businesses = {business.code: business for business in Business.objects.all()}
    accepted_at = now - timedelta(days=CHAINS_RUN_DAYS)
    for demo in CHAINS:
        chain, created = CrossPromoChain.objects.get_or_create(
            title=demo.title,
            source_business=businesses[demo.source],
            target_business=businesses[demo.target],
            # In the sample one visit spans many shops, so a long look-back would skip nearly everyone.
            defaults={**demo.terms, "exclude_target_customers_days": 7},
        )
        if created:
            chains.propose(chain.pk, by=owner, at=accepted_at)
            chains.accept(chain.pk, by=owner, at=accepted_at)
