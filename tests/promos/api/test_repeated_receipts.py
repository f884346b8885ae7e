"""A receipt sent again with one thing changed is refused, naming it."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.models import Bonus, Transaction
from promos.models import Coupon
from tests.api import refusal
from tests.factories import CouponFactory, MemberFactory, give_bonuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes", "sound_ledger")]

LINES = [
    {"sku": "1", "name": "tea", "category": "drinks", "quantity": "2.000", "amount": "400.00"},
    {"sku": "2", "name": "pie", "category": "food", "quantity": "1.000", "amount": "600.00"},
]


def first_line(**change):
    return [LINES[0] | change, LINES[1]]


def unused():
    return Coupon.objects.get(status=Coupon.Status.ISSUED).code


@pytest.fixture
def bill(business, member):
    """Every field that says what was bought."""
    business.requires_presence_code = False
    business.save()
    give_bonuses(member, business, D("50.00"))
    coupons = CouponFactory.create_batch(
        2, business=business, member=member, valid_until=timezone.now() + timedelta(days=1)
    )
    return {
        "external_id": "r-1",
        "member": {"phone": member.phone},
        "amount": "1000.00",
        "category": "cafe",
        "lines": LINES,
        "coupon": coupons[0].code,
        "redeem": "20.00",
        "purchased_at": (timezone.now() - timedelta(minutes=5)).isoformat(),
    }


CHANGES = {
    "member": (lambda: {"member": {"phone": MemberFactory().phone}}, ["member"]),
    "amount": (
        lambda: {"amount": "1001.00", "lines": first_line(amount="401.00")}, ["amount", "lines"],
    ),
    "category": (lambda: {"category": "shop"}, ["category"]),
    "sku": (lambda: {"lines": first_line(sku="3")}, ["lines"]),
    "name": (lambda: {"lines": first_line(name="coffee")}, ["lines"]),
    "line category": (lambda: {"lines": first_line(category="food")}, ["lines"]),
    "quantity": (lambda: {"lines": first_line(quantity="3.000")}, ["lines"]),
    "order of lines": (lambda: {"lines": LINES[::-1]}, ["lines"]),
    "coupon": (lambda: {"coupon": unused()}, ["coupon"]),
    "redeem": (lambda: {"redeem": "20.01"}, ["redeem"]),
    "purchased_at": (lambda: {"purchased_at": timezone.now().isoformat()}, ["purchased_at"]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_field_of_a_purchase_is_named_and_nothing_is_done(till, bill, member, change):
    made, names = CHANGES[change]
    assert till.post("transactions", bill).status_code == 201
    balance = Bonus.objects.get(member=member).balance

    answer = till.post("transactions", bill | made())

    assert refusal(answer) == (422, "external_id_reused", [(name, "external_id_reused") for name in names])
    assert (Transaction.objects.count(), Bonus.objects.get(member=member).balance) == (1, balance)


@pytest.mark.parametrize("name", ["category", "lines", "coupon", "redeem"])
def test_a_field_of_a_purchase_left_out_is_named(till, bill, name):
    till.post("transactions", bill)

    answer = till.post("transactions", {key: value for key, value in bill.items() if key != name})

    assert refusal(answer) == (422, "external_id_reused", [(name, "external_id_reused")])


def test_a_repeat_without_its_time_is_a_repeat(till, bill):
    first = till.post("transactions", bill)
    del bill["purchased_at"]

    again = till.post("transactions", bill)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


def test_a_repeat_with_the_time_of_our_clock_is_a_repeat(till, bill):
    del bill["purchased_at"]
    first = till.post("transactions", bill).json()

    again = till.post("transactions", bill | {"purchased_at": first["created_at"]})

    assert (again.status_code, again.json()) == (200, first)


@pytest.fixture
def given_back(till, bill):
    purchase = till.post("transactions", bill).json()["id"]
    other = till.post("transactions", {**bill, "external_id": "r-2", "coupon": unused()}).json()["id"]
    refund = {
        "external_id": "b-1", "lines": [{"line": 1, "amount": "100.00"}, {"line": 2}],
        "purchased_at": timezone.now().isoformat(),
    }  # fmt: skip
    assert till.post(f"transactions/{purchase}/refunds", refund).status_code == 201
    return purchase, other, refund


REFUND_CHANGES = {
    "amount of a line": ({"lines": [{"line": 1, "amount": "100.01"}, {"line": 2}]}, "lines"),
    "line": ({"lines": [{"line": 1, "amount": "100.00"}]}, "lines"),
    "purchased_at": ({"purchased_at": "2026-01-01T10:00:00+03:00"}, "purchased_at"),
}


@pytest.mark.parametrize("change", REFUND_CHANGES)
def test_a_changed_field_of_a_refund_is_named(till, given_back, change):
    purchase, _other, refund = given_back
    changed, name = REFUND_CHANGES[change]

    answer = till.post(f"transactions/{purchase}/refunds", refund | changed)

    assert refusal(answer) == (422, "external_id_reused", [(name, "external_id_reused")])


def test_a_refund_of_another_purchase_is_named(till, given_back):
    _purchase, other, refund = given_back

    answer = till.post(f"transactions/{other}/refunds", refund)

    assert refusal(answer) == (422, "external_id_reused", [("refund_of", "external_id_reused")])


def test_a_refund_by_lines_without_its_time_is_a_repeat(till, given_back):
    purchase, _other, refund = given_back
    del refund["purchased_at"]

    assert till.post(f"transactions/{purchase}/refunds", refund).status_code == 200
