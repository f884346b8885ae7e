"""A member's tier and invitation over HTTP."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.models import Member, Referral, TierChange
from loyalty.services.api_keys import create_api_key
from tests.api import JOINING, Caller, refusal
from tests.factories import MemberFactory
from tests.loyalty.api.test_me import signed_in
from tests.loyalty.book import Book
from tests.loyalty.tier_rows import member_of, paid

pytestmark = pytest.mark.django_db
PHONE = "+79161234217"

PAL = {"level": 2, "name": "Приятель", "name_en": "Pal", "percent": "5.00", "threshold_rub": "30000.00"}
FRIEND = {"level": 3, "name": "Друг", "name_en": "Friend", "percent": "7.00", "threshold_rub": "100000.00"}


def test_tier_tells_what_is_needed_to_stay_and_to_rise(business):
    now = timezone.now()
    until = now + timedelta(days=200)
    member = member_of(2, until=until)
    paid(member, business, "12500.00", at=now - timedelta(days=30))
    TierChange.objects.create(
        member=member, from_level=1, to_level=2, reason="rise", turnover_rub=D("30000.00"), created_at=now
    )

    body = signed_in(member).get("me/tier").json()

    review = body.pop("review_at")
    [step] = body.pop("history")
    assert body == {
        "tier": PAL, "next_tier": FRIEND, "turnover_rub": "12500.00",
        "to_rise_rub": "87500.00", "to_keep_rub": "17500.00",
    }  # fmt: skip
    assert until.isoformat() < review < (until + timedelta(days=32)).isoformat()
    assert "T00:30:00+03:00" in review
    step.pop("created_at")
    assert step == {"from_level": 1, "to_level": 2, "reason": "rise", "turnover_rub": "30000.00"}


def test_the_ends_of_the_ladder_have_nothing_to_ask():
    lowest, highest = (signed_in(member_of(level)).get("me/tier").json() for level in (1, 4))

    assert (lowest["review_at"], lowest["to_keep_rub"], lowest["history"]) == (None, "0.00", [])
    assert (highest["next_tier"], highest["to_rise_rub"]) == (None, "0.00")


def test_referral_tells_the_code_the_link_and_the_terms(member, business):
    now = timezone.now()
    Referral.objects.create(inviter=member, newcomer=MemberFactory(), code=member.referral_code)
    book = Book(member, business)
    book.accrue("300.00", kind="referral", at=now, available_from=now + timedelta(days=14))
    book.write()

    assert signed_in(member).get("me/referral").json() == {
        "code": member.referral_code,
        "link": f"http://testserver/join/{member.referral_code}/",
        "invited": 1, "rewarded": 0, "pending_bonuses": "300.00",
        "newcomer_bonus": "150.00", "inviter_bonus": "300.00", "min_purchase_rub": "500.00",
        "pending_days": 14, "monthly_limit": 10, "left_this_month": 10,
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 3])
def test_both_cost_a_fixed_number_of_queries(member, rows, django_assert_num_queries):
    for _ in range(rows):
        Referral.objects.create(inviter=member, newcomer=MemberFactory(), code=member.referral_code)
        TierChange.objects.create(
            member=member, from_level=1, to_level=2, reason="rise", turnover_rub=D("30000.00")
        )
    caller = signed_in(member)

    with django_assert_num_queries(4):  # the caller, tiers, turnover, history
        assert len(caller.get("me/tier").json()["history"]) == rows
    with django_assert_num_queries(3):  # the caller, invitations, pending lots
        assert caller.get("me/referral").json()["invited"] == rows


@pytest.mark.parametrize("path", ["me/tier", "me/referral"])
def test_they_need_a_members_token(path, business):
    _, secret = create_api_key(business=business)

    assert refusal(Caller().get(path)) == (401, "not_authenticated", [])
    assert refusal(Caller(f"Api-Key {secret}").get(path)) == (403, "permission_denied", [])


@pytest.mark.parametrize("typed", ["ABCD2345", "abcd-2345"])
def test_a_code_given_with_the_first_token_names_the_inviter(sent_code, typed):
    inviter = MemberFactory(referral_code="ABCD2345")
    Caller().post("auth/otp", {"phone": PHONE})

    answer = Caller().post(
        "auth/token",
        {"phone": PHONE, "code": sent_code(PHONE), "referral_code": typed, **JOINING},
    )

    assert answer.json()["is_new"] is True
    assert Member.objects.get(phone=PHONE).referred_by == inviter
    assert signed_in(inviter).get("me/referral").json()["invited"] == 1


def test_an_unknown_code_stands_in_nobodys_way(sent_code):
    Caller().post("auth/otp", {"phone": PHONE})

    answer = Caller().post(
        "auth/token",
        {
            "phone": PHONE,
            "code": sent_code(PHONE),
            "referral_code": "NOBODYS1",
            "consents": {"processing": True},
        },
    )

    assert (answer.status_code, answer.json()["is_new"]) == (200, True)
    assert not Referral.objects.exists()
