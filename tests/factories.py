"""Rows for tests: only what a test does not care about has a default."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import factory

from loyalty.models import BonusLot, Business, Consent, Member, Referral, StaffMembership, StatusTier
from loyalty.services.consents import PROCESSING, Choice, Subject, decide
from loyalty.services.ledger_reads import load_further, open_ledger
from promos.models import Coupon, CouponCampaign, CrossPromoChain, Offer
from promos.rules import new_code
from promos.services.offers import Terms, publish, save_draft
from svoykrug.db.sql import Write

NOON = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)  # 12:00 in Moscow, a Monday
DOUBLE = {"kind": "multiplier", "value": "2"}
JOINING = Choice(granted=frozenset([PROCESSING]))  # what nobody joins without


class BusinessFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Business

    code = factory.Sequence(lambda n: f"T{n:03}")
    name = factory.Sequence(lambda n: f"Лавка {n}")


class MemberFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Member

    phone = factory.Sequence(lambda n: f"+7900{n:07}")
    card_number = factory.Sequence(lambda n: f"card-{n}")
    first_name = "Анна"
    status_tier = factory.LazyFunction(lambda: StatusTier.objects.get(level=1))


class StaffFactory(factory.django.DjangoModelFactory):
    """A membership of staff; the member may enter the admin."""

    class Meta:
        model = StaffMembership

    member = factory.SubFactory(MemberFactory, is_staff=True)
    business = factory.SubFactory(BusinessFactory)
    role = StaffMembership.Role.OWNER


class ChainFactory(factory.django.DjangoModelFactory):
    """An active chain agreed a day before NOON, 20 per cent off, without a hold-out."""

    class Meta:
        model = CrossPromoChain

    source_business = factory.SubFactory(BusinessFactory)
    target_business = factory.SubFactory(BusinessFactory)
    coupon_value = Decimal("20")
    holdout_percent = Decimal("0")
    status = CrossPromoChain.Status.ACTIVE
    accepted_by = factory.SubFactory(MemberFactory)
    accepted_at = NOON - timedelta(days=1)


class CouponFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Coupon

    code = factory.LazyFunction(new_code)
    member = factory.SubFactory(MemberFactory)
    business = factory.SubFactory(BusinessFactory)
    benefit = "percent"
    benefit_value = Decimal("20")
    valid_from = NOON - timedelta(days=1)
    valid_until = NOON + timedelta(days=14)


class CampaignFactory(factory.django.DjangoModelFactory):
    """A draft for everybody who ever bought at the business: 10 per cent off for 14 days."""

    class Meta:
        model = CouponCampaign

    business = factory.SubFactory(BusinessFactory)
    title = "Осенние купоны"


def publish_offer(
    business: Business,
    effect: dict[str, Any] | None = None,
    *,
    at: datetime = NOON - timedelta(days=1),
    **terms: Any,
) -> Offer:
    """Publish an offer a day before NOON, double bonuses unless told otherwise."""
    fields = {"title": "Двойные бонусы", "conditions": {}, "effect": effect or DOUBLE} | terms
    offer = save_draft(Terms(**fields), business=business)
    return publish(offer.pk, business=business, at=at)


def invite(inviter: Member, newcomer: Member) -> Referral:
    """Let the newcomer have joined by the inviter's code."""
    Member.objects.filter(pk=newcomer.pk).update(referred_by=inviter)
    return Referral.objects.create(inviter=inviter, newcomer=newcomer, code=inviter.referral_code)


def consent(
    member: Member,
    *,
    purpose: str = Consent.Purpose.ADVERTISING,
    channel: str = "inapp",
    partner: Business | None = None,
    granted: bool = True,
    at: datetime = NOON,
) -> None:
    """Let the member agree to advertising in the app, or to what is named, or withdraw it."""
    about = Subject(
        purpose, channel if purpose == Consent.Purpose.ADVERTISING else "", partner.pk if partner else None
    )
    choice = Choice(**{"granted" if granted else "withdrawn": frozenset([about])})
    decide(choice, member_id=member.pk, language="ru", ip=None, at=at)


def agreeing(**fields: Any) -> Member:
    """A member who consents to advertising in the app, as a chain's coupon is."""
    member: Member = MemberFactory(**fields)
    consent(member)
    return member


def give_bonuses(
    member: Member,
    issuer: Business,
    amount: str | Decimal,
    *,
    left: str | Decimal | None = None,
    at: datetime = NOON,
    available_from: datetime | None = None,
    expires_at: datetime | None = None,
    kind: str = BonusLot.Kind.ADJUSTMENT,
) -> BonusLot:
    """Give bonuses through the ledger, as the database demands; the lot lapses a year later.

    left  what remains after the rest was taken back at once
    """
    ledger, _ = open_ledger([member.pk], recorded_at=at)
    load_further(ledger, until=at)
    account = ledger.accounts[member.pk]
    ledger.lapse(account, at=at)
    wait = ((available_from or at) - at) / timedelta(days=1)
    ledger.accrue(
        account, issuer_id=issuer.pk, transaction_id=None, amount=Decimal(amount), at=at, pending_days=wait,
        kind=kind,
    )  # fmt: skip
    [lot] = ledger.opened
    lot.expires_at = expires_at or lot.expires_at
    if left is not None:
        ledger.reverse(
            account, own=[lot], refund_id=None, amount=lot.remaining - Decimal(left),
            expired=Decimal(0), at=at,
        )  # fmt: skip
    write = Write()
    ledger.write(write)
    write.execute()
    return BonusLot.objects.get(pk=lot.id)
