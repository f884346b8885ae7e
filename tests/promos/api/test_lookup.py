"""What a till sees of a member before the purchase."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.api import refusal
from tests.factories import BusinessFactory, CouponFactory, MemberFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return MemberFactory(phone="+79161234217", first_name="Анна", last_name="Петрова")


def test_member_is_shown_by_first_name_and_masked_phone(till, anna, business):
    request = PurchaseRequest(business=business, external_id="1", member_id=anna.pk, amount=D("1000.00"))
    record_purchase(request, at=timezone.now())

    answer = till.get("members/lookup", phone="+79161234217")

    assert answer.json() == {
        "id": str(anna.pk),
        "first_name": "Анна",
        "phone_masked": "+7 ••• •••-42-17",
        "tier": {"level": 1, "name": "Знакомый", "name_en": "Acquaintance", "percent": "3.00"},
        "available": "30.00",
        "max_share_percent": "20.00",
        "coupons": [],
    }


@pytest.mark.parametrize("phone", ["+79161234217", " 79161234217", "8 (916) 123-42-17"])
def test_phone_may_be_spelt_in_many_ways(till, anna, phone):
    assert till.get("members/lookup", phone=phone).json()["id"] == str(anna.pk)


def test_foreign_phone_whose_plus_was_not_escaped_is_found(till):
    member = MemberFactory(phone="+14155552671")

    assert till.get("members/lookup", phone=" 14155552671").json()["id"] == str(member.pk)


def test_only_coupons_that_work_here_and_now_are_shown(till, anna, business):
    now = timezone.now()
    here = {"member": anna, "business": business, "valid_until": now + timedelta(days=1)}
    valid = CouponFactory(**here)
    CouponFactory(**here, status="redeemed")
    CouponFactory(**here | {"business": BusinessFactory()})
    CouponFactory(**here | {"member": MemberFactory()})
    CouponFactory(**here, valid_from=now + timedelta(hours=1))
    CouponFactory(**here | {"valid_until": now - timedelta(hours=1)}, valid_from=now - timedelta(days=1))

    coupons = till.get("members/lookup", card=anna.card_number).json()["coupons"]

    assert [coupon["code"] for coupon in coupons] == [valid.code]


@pytest.mark.parametrize(
    ("terms", "share"),
    [
        ({"redemption_cap_percent": D("5")}, "5.00"),
        ({"redemption_cap_percent": D("90")}, "20.00"),
        ({"redemption_cap_percent": D("0")}, "0.00"),
        ({"can_redeem": False}, "0.00"),
    ],
)
def test_share_payable_by_bonuses_follows_the_business_terms(till, anna, business, terms, share):
    for name, value in terms.items():
        setattr(business, name, value)
    business.save()

    assert till.get("members/lookup", phone=anna.phone).json()["max_share_percent"] == share


@pytest.mark.parametrize("query", [{"phone": "+79169999999"}, {"card": "none"}])
def test_unknown_member(till, query):
    assert refusal(till.get("members/lookup", **query))[:2] == (404, "member_not_found")


def test_member_who_left_is_unknown(till):
    gone = MemberFactory(anonymised_at=timezone.now())

    assert refusal(till.get("members/lookup", phone=gone.phone))[:2] == (404, "member_not_found")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ({}, [("", "one_of")]),
        ({"phone": "+79161234217", "card": "1"}, [("", "one_of")]),
        ({"phone": "1"}, [("phone", "invalid")]),
        ({"card": "\x00"}, [("card", "null_characters_not_allowed")]),
        ({"card": ""}, [("card", "blank")]),
        ({"name": "Анна"}, [("name", "unknown_field")]),
    ],
)
def test_odd_lookups_are_refused(till, query, errors):
    assert refusal(till.get("members/lookup", **query)) == (400, "invalid", errors)
