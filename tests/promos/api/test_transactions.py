"""A till records a purchase once, whatever the network does; another's purchases do not exist for it."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, Bonus, ParkedRefund, Transaction
from loyalty.services.api_keys import create_api_key, revoke_api_key
from loyalty.services.sessions import open_session
from promos.models import Coupon
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, ChainFactory, CouponFactory, MemberFactory, agreeing, consent

NOWHERE = "01900000-0000-7000-8000-000000000000"
pytestmark = pytest.mark.django_db


def body(member, external_id="1001", amount="1000.00", **more):
    return {"external_id": external_id, "member": {"phone": member.phone}, "amount": amount, **more}


def other_till():
    return Caller(f"Api-Key {create_api_key(business=BusinessFactory())[1]}")


def test_purchase_is_recorded_and_explained(till, member, business):
    answer = till.post("transactions", body(member))

    assert answer.status_code == 201
    stored = Transaction.objects.get()
    assert (stored.business, stored.source, stored.amount) == (business, "api", D("1000.00"))
    assert answer.json() == {
        "id": str(stored.pk),
        "external_id": "1001",
        "kind": "purchase",
        "member": str(member.pk),
        "amount": "1000.00",
        "coupon_discount": "0.00",
        "bonus_redeemed": "0.00",
        "amount_paid": "1000.00",
        "bonus_accrued": "30.00",
        "balance": "30.00",
        "tier": {"level": 1, "name": "Знакомый", "name_en": "Acquaintance", "percent": "3.00"},
        "coupons_issued": [],
        "explanation": stored.explanation,
        "created_at": timezone.localtime(stored.created_at).isoformat(),
    }


def test_repeat_answers_200_with_the_same_body_whatever_came_since(till, member, business):
    consent(member)
    ChainFactory(source_business=business, accepted_at=timezone.now() - timedelta(days=1))
    first = till.post("transactions", body(member))
    till.post("transactions", body(member, "1002"))
    Coupon.objects.update(status=Coupon.Status.VOIDED)

    again = till.post("transactions", body(member))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert len(first.json()["coupons_issued"]) == 1
    assert Transaction.objects.count() == 2


@pytest.mark.parametrize("amount", ["1249.5", 1249.5, "1249.50"])
def test_spelling_of_an_amount_does_not_matter(till, member, amount):
    till.post("transactions", body(member, amount="1249.50"))

    again = till.post("transactions", body(member, amount=amount))

    assert (again.status_code, again.json()["amount"]) == (200, "1249.50")


def test_receipt_with_other_content_names_what_differs(till, member):
    till.post("transactions", body(member))

    answer = till.post("transactions", body(member, amount="1000.01", category="Хлеб"))

    assert refusal(answer) == (
        422, "external_id_reused", [("amount", "external_id_reused"), ("category", "external_id_reused")],
    )  # fmt: skip
    assert Bonus.objects.get().balance == D("30.00")


def test_same_receipt_at_another_business_is_another_purchase(till, member):
    till.post("transactions", body(member))

    assert other_till().post("transactions", body(member)).status_code == 201


@pytest.mark.parametrize("by", ["phone", "card", "spoken phone"])
def test_member_is_named_by_phone_or_card(till, by):
    member = MemberFactory(phone="+79161234217")
    named = {"phone": {"phone": "+79161234217"}, "card": {"card": member.card_number},
             "spoken phone": {"phone": "8 (916) 123-42-17"}}[by]  # fmt: skip

    answer = till.post("transactions", body(member) | {"member": named})

    assert (answer.status_code, answer.json()["member"]) == (201, str(member.pk))


@pytest.mark.parametrize("named", [{"phone": "+79169999999"}, {"card": "none"}])
def test_unknown_member_is_refused(till, member, named):
    answer = till.post("transactions", body(member) | {"member": named})

    assert refusal(answer) == (404, "member_not_found", [("member", "member_not_found")])
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"member": {}}, [("member", "one_of")]),
        ({"member": {"phone": "+79161234217", "card": "1"}}, [("member", "one_of")]),
        ({"member": {"phone": "12"}}, [("member.phone", "invalid")]),
        ({"member": {"email": "a@b.ru"}}, [("member.email", "unknown_field")]),
        ({"member": "+79161234217"}, [("member", "invalid")]),
        ({"member": None}, [("member", "null")]),
        ({"external_id": ""}, [("external_id", "blank")]),
        ({"external_id": None}, [("external_id", "null")]),
        ({"external_id": "x" * 201}, [("external_id", "max_length")]),
        ({"external_id": "a\x00b"}, [("external_id", "null_characters_not_allowed")]),
        ({"external_id": {"a": 1}}, [("external_id", "invalid")]),
        ({"redeem": "-10.00"}, [("redeem", "not_positive")]),
        ({"redeem": "10.001", "quote": "x"}, [("quote", "invalid"), ("redeem", "invalid")]),
        ({"\ud800": 1}, [("?", "unknown_field")]),
        ({"category": "\ud800"}, [("category", "surrogate_characters_not_allowed")]),
        ({"lines": [{"amount": "999.99"}]}, [("lines", "sum_differs")]),
        ({"lines": [{"amount": "1000.00", "weight": 1}]}, [("lines.0.weight", "unknown_field")]),
        ({"lines": {}}, [("lines", "not_a_list")]),
        ({"lines": [{"amount": "1.00"}] * 501}, [("lines", "max_length")]),
    ],
)  # fmt: skip
def test_body_is_checked_field_by_field(till, member, change, errors):
    answer = till.post("transactions", body(member) | change)

    assert refusal(answer) == (400, "invalid", errors)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    "literal",
    [
        "0", "0.00", '"0.00"', "-1", '"-1.00"', '"1.001"', "1.001", "10.100", "1e18", '"1e18"', "1e2",
        "1000000000000", '"99999999999999999999"', "9" * 5000, "100000000.00",
        '"NaN"', '"Infinity"', '"1,50"',
        '" 1.50"', '"+1.50"', '"١٠٫٠٠"', '"１０"', '""', "null", "true", "[]", "{}", '"1_000"', '"0x10"',
    ],
)  # fmt: skip
def test_odd_amounts_are_refused(till, member, literal):
    raw = f'{{"external_id": "1", "member": {{"phone": "{member.phone}"}}, "amount": {literal}}}'

    assert refusal(till.post("transactions", raw))[:2] == (400, "invalid")
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know_are_refused(till, member, literal):
    raw = f'{{"external_id": "1", "member": {{"phone": "{member.phone}"}}, "amount": {literal}}}'

    assert refusal(till.post("transactions", raw)) == (400, "invalid", [])


@pytest.mark.parametrize(
    "moment",
    [
        "2026-06-15T12:00:00", "2026-06-15", "yesterday", "", 1, None, "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-06-15T12:00:00+99:00",
        "1900-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z", "٢٠٢٦-06-15T12:00:00Z", "2026-06-15T25:00:00Z",
    ],
)  # fmt: skip
def test_odd_times_are_refused(till, member, moment):
    answer = till.post("transactions", body(member, purchased_at=moment))

    assert refusal(answer)[:2] == (400, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == ["purchased_at"]


def test_time_of_the_purchase_is_kept(till, member):
    answer = till.post("transactions", body(member, purchased_at="2026-06-15T09:00:00Z"))

    assert answer.json()["created_at"] == "2026-06-15T12:00:00+03:00"


def test_lines_are_kept_as_sent(till, member):
    lines = [{"name": "Хлеб", "quantity": 0.355, "amount": "400.00"}, {"sku": "7", "amount": 600}]

    till.post("transactions", body(member, lines=lines))

    assert Transaction.objects.get().lines == [
        {"name": "Хлеб", "quantity": "0.355", "amount": "400.00"},
        {"sku": "7", "amount": "600.00"},
    ]


def test_coupon_of_a_chain_travels_from_one_till_to_another(till, member, business):
    target = BusinessFactory()
    consent(member)
    ChainFactory(
        source_business=business, target_business=target, accepted_at=timezone.now() - timedelta(days=1)
    )
    issued = till.post("transactions", body(member)).json()["coupons_issued"]
    assert [(coupon["business"], coupon["benefit"], coupon["benefit_value"]) for coupon in issued] == [
        (target.name, "percent", "20.00")
    ]
    code = issued[0]["code"]
    there = Caller(f"Api-Key {create_api_key(business=target)[1]}")

    answer = there.post("transactions", body(member, coupon=f"{code[:5]}-{code[5:]}".lower()))

    assert (answer.status_code, answer.json()["coupon_discount"]) == (201, "200.00")
    used = there.post("transactions", body(member, "1002", coupon=code))
    assert refusal(used) == (409, "coupon_not_redeemable", [("coupon", "coupon_not_redeemable")])


def test_coupon_of_another_business_is_refused(till, member):
    coupon = CouponFactory(member=member, valid_until=timezone.now() + timedelta(days=1))

    answer = till.post("transactions", body(member, coupon=coupon.code))

    assert refusal(answer)[:2] == (409, "coupon_not_redeemable")
    assert not Transaction.objects.exists()


# --- Refunds of one purchase ------------------------------------------------------------------------


def test_refund_says_what_became_of_the_bonuses(till, member):
    purchase = till.post("transactions", body(member)).json()
    path = f"transactions/{purchase['id']}/refunds"

    first = till.post(path, {"external_id": "R1", "amount": "400.00"})
    again = till.post(path, {"external_id": "R1", "amount": "400.00"})

    refund = first.json()
    assert (first.status_code, again.status_code, again.json() == refund) == (201, 200, True)
    assert (refund["kind"], refund["amount"], refund["refund_of"]) == ("refund", "-400.00", purchase["id"])
    assert (refund["taken_back"], refund["debt"], refund["written_off"]) == ("12.00", "0.00", "0.00")
    assert Bonus.objects.get().balance == D("18.00")


def test_refund_is_never_larger_than_its_purchase(till, member):
    purchase = till.post("transactions", body(member)).json()

    answer = till.post(f"transactions/{purchase['id']}/refunds", {"external_id": "R1", "amount": "1000.01"})

    assert refusal(answer) == (409, "refund_exceeds_purchase", [("amount", "refund_exceeds_purchase")])


def test_another_businesses_purchase_cannot_be_refunded(till, member):
    purchase = till.post("transactions", body(member)).json()

    answer = other_till().post(
        f"transactions/{purchase['id']}/refunds", {"external_id": "R1", "amount": "1.00"}
    )

    assert refusal(answer) == (404, "not_found", [])
    assert Transaction.objects.count() == 1


# --- Refunds by receipt, of a purchase known or still to come ------------------------------------------


def early(member, **changes):
    return {"external_id": "R1", "refund_of": "1001", "member": {"card": member.card_number},
            "amount": "400.00"} | changes  # fmt: skip


def test_an_early_refund_is_parked_and_applied_when_its_purchase_comes(till, member):
    parked = till.post("refunds", early(member))
    again = till.post("refunds", early(member))
    other = till.post("refunds", early(member, amount="1.00"))
    bought = till.post("transactions", body(member))
    applied = till.post("refunds", early(member))

    told = {"status": "parked", "external_id": "R1", "refund_of": "1001"}
    assert [(answer.status_code, answer.json()) for answer in (parked, again)] == [(202, told)] * 2
    assert refusal(other)[:2] == (422, "external_id_reused")
    assert (applied.status_code, applied.json()["refund_of"]) == (200, bought.json()["id"])
    assert not ParkedRefund.objects.exists()
    assert Bonus.objects.get().balance == D("18.00")


def test_a_refund_by_receipt_of_a_known_purchase_needs_no_member(till, member):
    bought = till.post("transactions", body(member)).json()
    asked = {"external_id": "R1", "refund_of": "1001", "amount": "400.00"}

    first = till.post("refunds", asked)
    by_id = till.post(f"transactions/{bought['id']}/refunds", {"external_id": "R1", "amount": "400.00"})

    assert (first.status_code, by_id.status_code, by_id.json()) == (201, 200, first.json())
    assert first.json()["taken_back"] == "12.00"


def test_an_early_refund_needs_member_and_amount(till, member):
    nobody = early(member)
    del nobody["member"]
    by_line = early(member, lines=[{"line": 1}])
    del by_line["amount"]

    answers = [till.post("refunds", nobody), till.post("refunds", by_line),
               till.post("refunds", early(member, refund_of="")),
               till.post("refunds", early(member) | {"member": {"card": "none"}})]  # fmt: skip

    assert [refusal(answer) for answer in answers] == [
        (404, "member_not_found", [("member", "member_not_found")]),
        (400, "refund_unlinked", [("lines", "refund_unlinked")]),
        (400, "invalid", [("refund_of", "blank")]),
        (404, "member_not_found", [("member", "member_not_found")]),
    ]
    assert not ParkedRefund.objects.exists()


# --- Reading ----------------------------------------------------------------------------------------


def test_purchase_is_read_by_its_business_alone(till, member):
    recorded = till.post("transactions", body(member)).json()

    assert till.get(f"transactions/{recorded['id']}").json() == recorded
    for caller, key in ((other_till(), recorded["id"]), (till, NOWHERE)):
        assert refusal(caller.get(f"transactions/{key}")) == (404, "not_found", [])
    assert other_till().get("transactions").json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize("rows", [1, 3])
def test_list_costs_a_fixed_number_of_queries(till, business, rows, django_assert_num_queries):
    ChainFactory(source_business=business, accepted_at=timezone.now() - timedelta(days=1))
    for number in range(rows):
        till.post("transactions", body(agreeing(), str(number)))

    with django_assert_num_queries(3):  # the key, the purchases, their coupons with the businesses
        results = till.get("transactions").json()["results"]
    assert [len(row["coupons_issued"]) for row in results] == [1] * rows


def test_list_is_filtered(till, member):
    for number in (1, 2, 3):
        till.post("transactions", body(member, str(number), purchased_at=f"2026-06-0{number}T00:00:00+03:00"))
    till.post("transactions", body(MemberFactory(), "4", purchased_at="2026-06-04T00:00:00+03:00"))
    purchase = Transaction.objects.get(external_id="1").pk
    till.post(f"transactions/{purchase}/refunds", {"external_id": "5", "amount": "1.00"})

    def found(**query):
        return [row["external_id"] for row in till.get("transactions", **query).json()["results"]]

    assert found() == ["5", "4", "3", "2", "1"]
    assert found(member=member.pk) == ["5", "3", "2", "1"]
    assert found(external_id="2") == ["2"]
    assert found(kind="refund") == ["5"]
    assert found(**{"from": "2026-06-02T00:00:00+03:00", "to": "2026-06-04T00:00:00+03:00"}) == ["3", "2"]


def test_list_comes_page_by_page_even_when_times_are_equal(till, member):
    for number in range(5):
        till.post("transactions", body(member, str(number), purchased_at="2026-06-15T09:00:00Z"))

    seen, page = [], till.get("transactions", page_size=2).json()
    while True:
        seen += [row["external_id"] for row in page["results"]]
        if not page["next"]:
            break
        page = till.client.get(page["next"], headers=till.headers).json()

    assert sorted(seen) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "query",
    [{"member": "x"}, {"kind": "gift"}, {"kind": "\x00"}, {"from": "2026-06-15"}, {"to": "x"}, {"phone": "1"},
     {"external_id": "\x00"}],
)  # fmt: skip
def test_odd_filters_are_refused(till, query):
    answer = till.get("transactions", **query)

    assert refusal(answer)[:2] == (400, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


# --- Who may call -----------------------------------------------------------------------------------

CALLS = [
    ("post", "transactions", ApiKey.Scope.PURCHASES_WRITE),
    ("post", "transactions/batch", ApiKey.Scope.PURCHASES_WRITE),
    ("post", f"transactions/{NOWHERE}/refunds", ApiKey.Scope.PURCHASES_WRITE),
    ("post", "refunds", ApiKey.Scope.PURCHASES_WRITE),
    ("get", "transactions", ApiKey.Scope.PURCHASES_READ),
    ("get", f"transactions/{NOWHERE}", ApiKey.Scope.PURCHASES_READ),
    ("get", "members/lookup", ApiKey.Scope.MEMBERS_READ),
]


def call(caller, method, path):
    return caller.post(path, {}) if method == "post" else caller.get(path)


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_call_needs_its_scope(business, method, path, scope):
    all_but_it = [other for other in ApiKey.Scope.values if other != scope]
    _, secret = create_api_key(business=business, scopes=all_but_it)

    answer = call(Caller(f"Api-Key {secret}"), method, path)

    assert refusal(answer) == (403, "permission_denied", [])
    assert answer.json()["detail"] == f"The API key lacks the scope {scope.value}."


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_call_needs_a_live_key(business, member, method, path, scope):
    key, revoked = create_api_key(business=business)
    revoke_api_key(key, at=timezone.now())
    token = open_session(member, at=timezone.now()).access

    for header in ("", "Api-Key", "Api-Key sk_live_x", "Api-Key a b", f"Api-Key {revoked}", "Api-Key ÿ"):
        answer = call(Caller(header), method, path)
        assert refusal(answer) == (401, "not_authenticated", [])
        assert answer["WWW-Authenticate"] == "Api-Key"
    assert refusal(call(Caller(f"Bearer {token}"), method, path)) == (403, "permission_denied", [])


def test_use_of_a_key_is_noted(till, member):
    before = timezone.now()

    till.post("transactions", body(member))

    assert ApiKey.objects.get().last_used_at >= before
