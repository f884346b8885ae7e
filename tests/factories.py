"""Rows for tests: only what a test does not care about has a default."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import factory

from loyalty.models import Business, Member, StaffMembership, StatusTier
from promos.models import Coupon, CrossPromoChain
from promos.rules import new_code

NOON = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)  # 12:00 in Moscow, a Monday


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
