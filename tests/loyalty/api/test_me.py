"""A member sees their own data and nobody else's."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db


def signed_in(member):
    return Caller(f"Bearer {open_session(member, at=timezone.now()).access}")


def buy(member, business, external_id="1", amount="1000.00", days_ago=0):
    at = timezone.now() - timedelta(days=days_ago)
    request = PurchaseRequest(
        business=business, external_id=external_id, member_id=member.pk, amount=D(amount), purchased_at=at
    )
    return record_purchase(request, at=timezone.now())[0]


def test_me_tells_the_members_own_data(member):
    body = signed_in(member).get("me").json()

    assert body["id"] == str(member.pk)
    assert body["tier"] == {"level": 1, "name": "Знакомый", "name_en": "Acquaintance", "percent": "3.00"}
    assert body["referral_code"] == member.referral_code
    assert "password" not in body


def test_balance_of_a_member_without_purchases_is_zero(member):
    assert signed_in(member).get("me/balance").json() == {
        "available": "0.00", "held": "0.00", "pending": "0.00", "debt": "0.00", "expiring": "0.00",
        "expiring_on": None, "next_available_on": None,
    }  # fmt: skip


def test_purchase_shows_in_balance_and_entries(member, business):
    purchase = buy(member, business)

    caller = signed_in(member)

    assert caller.get("me/balance").json()["available"] == "30.00"
    entries = caller.get("me/entries").json()
    assert (entries["next"], entries["previous"]) == (None, None)
    (entry,) = entries["results"]
    assert (entry["kind"], entry["amount"], entry["issuer"]) == ("accrual", "30.00", business.name)
    assert (entry["honoured_by"], entry["transaction"]) == (None, str(purchase.pk))


def test_another_members_entries_are_not_shown(member, business):
    buy(MemberFactory(), business)

    assert signed_in(member).get("me/entries").json()["results"] == []


def test_entries_come_page_by_page_newest_first(member, business):
    for number in range(3):
        buy(member, business, str(number), f"{number + 1}00.00", days_ago=3 - number)
    caller = signed_in(member)

    first = caller.get("me/entries", page_size=2).json()
    second = caller.client.get(first["next"], headers=caller.headers).json()

    assert [row["amount"] for row in first["results"] + second["results"]] == ["9.00", "6.00", "3.00"]
    assert (first["previous"], second["next"]) == (None, None)


@pytest.mark.parametrize("rows", [1, 3])
def test_entries_cost_a_fixed_number_of_queries(member, rows, django_assert_num_queries):
    for number in range(rows):
        buy(member, BusinessFactory(), str(number))
    caller = signed_in(member)

    with django_assert_num_queries(2):  # the caller, the entries
        assert len(caller.get("me/entries").json()["results"]) == rows


@pytest.mark.parametrize("path", ["me", "me/balance", "me/entries"])
def test_own_data_needs_a_members_token(path, business):
    _, secret = create_api_key(business=business)

    assert refusal(Caller().get(path)) == (401, "not_authenticated", [])
    assert refusal(Caller("Bearer x.y.z").get(path)) == (401, "not_authenticated", [])
    assert refusal(Caller("Bearer").get(path)) == (401, "not_authenticated", [])
    assert refusal(Caller("Basic YTpi").get(path)) == (401, "not_authenticated", [])
    assert refusal(Caller(f"Api-Key {secret}").get(path)) == (403, "permission_denied", [])


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"}, {"cursor": "cD1hYmM="}, {"cursor": "cD0yMDI2LTAxLTAx"}, {"cursor": "bz0tMQ=="},
        {"cursor": "bz05OTk5OTk5"}, {"cursor": "\x00"}, {"cursor": "я"}, {"page_size": "0"},
        {"page_size": "201"}, {"page_size": "x"}, {"page_size": "٣"}, {"limit": "5"},
    ],
)  # fmt: skip
def test_odd_pages_are_refused(member, query):
    answer = signed_in(member).get("me/entries", **query)

    assert refusal(answer)[:2] == (400, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


def test_purchases_and_refunds_are_listed_newest_first_with_filters(member, business):
    old, new = buy(member, business, "1", "1000.00", days_ago=3), buy(member, business, "2", "10.00")
    buy(MemberFactory(), business, "3")
    caller = signed_in(member)

    listed = caller.get("me/transactions").json()["results"]

    assert [row["id"] for row in listed] == [str(new.pk), str(old.pk)]
    assert listed[1] | {"created_at": ""} == {
        "id": str(old.pk), "kind": "purchase", "refund_of": None, "business": business.name,
        "amount": "1000.00", "coupon_discount": "0.00", "bonus_redeemed": "0.00", "amount_paid": "1000.00",
        "bonus_accrued": "30.00", "category": "", "created_at": "",
    }  # fmt: skip
    since = (timezone.now() - timedelta(days=1)).isoformat()
    assert [row["id"] for row in caller.get("me/transactions", **{"from": since}).json()["results"]] == [
        str(new.pk)
    ]
    assert [row["id"] for row in caller.get("me/transactions", to=since).json()["results"]] == [str(old.pk)]
    assert caller.get("me/transactions", kind="refund").json()["results"] == []
    assert refusal(caller.get("me/transactions", kind="gift"))[2] == [("kind", "invalid_choice")]


@pytest.mark.parametrize("purchases", [1, 3])
def test_the_list_of_purchases_costs_two_queries(member, business, purchases, django_assert_num_queries):
    for number in range(purchases):
        buy(member, business, str(number))
    caller = signed_in(member)

    with django_assert_num_queries(2):
        assert len(caller.get("me/transactions").json()["results"]) == purchases


def test_member_changes_what_is_named_and_nothing_else(member):
    caller = signed_in(member)
    before = caller.get("me").json()

    told = {"first_name": "Анна", "birth_date": "1990-02-28", "language": "en"}
    answer = caller.patch("me", told)

    assert (answer.status_code, answer.json()) == (200, before | told)
    assert caller.get("me").json() == before | told
    assert caller.patch("me", {}).json() == before | told
    assert caller.patch("me", {"birth_date": None}).json()["birth_date"] is None


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"phone": "+79160000000"}, [("phone", "unknown_field")]),
        (
            {"is_staff": True, "status_tier": 4},
            [("is_staff", "unknown_field"), ("status_tier", "unknown_field")],
        ),
        ({"first_name": "x" * 81}, [("first_name", "max_length")]),
        ({"first_name": "a\x00"}, [("first_name", "null_characters_not_allowed")]),
        ({"first_name": "\ud800"}, [("first_name", "surrogate_characters_not_allowed")]),
        ({"email": "nobody"}, [("email", "invalid")]),
        ({"email": f"a@{'.'.join(['b' * 50] * 5)}.org"}, [("email", "max_length")]),
        ({"birth_date": "2999-01-01"}, [("birth_date", "invalid")]),
        ({"birth_date": "1800-01-01"}, [("birth_date", "invalid")]),
        ({"birth_date": "28.02.1990"}, [("birth_date", "invalid")]),
        ({"language": "de"}, [("language", "invalid_choice")]),
        ({"language": None}, [("language", "null")]),
        ([], [("", "invalid")]),
    ],
)
def test_what_a_member_may_not_say_is_refused(member, body, errors):
    caller = signed_in(member)
    before = caller.get("me").json()

    assert refusal(caller.patch("me", body)) == (400, "invalid", errors)
    assert caller.get("me").json() == before
