"""A batch: every row stands alone, in its order, and is answered by its index."""

from decimal import Decimal as D

import pytest

from loyalty.models import Bonus, ParkedRefund, Transaction
from promos.api.batch import MOST_ROWS
from tests.api import refusal
from tests.factories import MemberFactory

pytestmark = pytest.mark.django_db


def purchase(member, external_id, amount="100.00", **more):
    return {"external_id": external_id, "member": {"card": member.card_number}, "amount": amount, **more}


def refund(external_id, refund_of, amount, **more):
    return {"kind": "refund", "external_id": external_id, "refund_of": refund_of, "amount": amount, **more}


def outcome(row):
    return row["index"], row["status"], row.get("code")


def test_mixed_rows_each_stand_alone(till, member):
    till.post("transactions", purchase(member, "known"))
    by_phone = {"external_id": "phone", "member": {"phone": member.phone}, "amount": 50}
    rows = [
        purchase(member, "new", kind="purchase"),
        purchase(member, "known"),
        purchase(member, "known", "100.01"),
        by_phone,
        refund("r-new", "new", "40.00"),
        refund("r-early", "later", "1.00", member={"card": member.card_number}),
        refund("r-nobody", "unknown", "1.00"),
        refund("r-unlinked", None, "1.00"),
        refund("r-large", "new", "60.01"),
        purchase(member, "free", "0.00"),
        purchase(member, "odd", weight="1.00"),
        {"external_id": "stranger", "member": {"card": "none"}, "amount": "1.00"},
        {"external_id": "nobody", "amount": "1.00"},
        "text",
        None,
        {"kind": "gift\ud800"},
    ]

    answer = till.post("transactions/batch", {"transactions": rows})

    assert answer.status_code == 200
    body = answer.json()
    assert [outcome(row) for row in body["results"]] == [
        (0, "created", None),
        (1, "duplicate", None),
        (2, "rejected", "external_id_reused"),
        (3, "created", None),
        (4, "created", None),
        (5, "parked", None),
        (6, "rejected", "member_not_found"),
        (7, "rejected", "refund_unlinked"),
        (8, "rejected", "refund_exceeds_purchase"),
        (9, "rejected", "invalid"),
        (10, "rejected", "invalid"),
        (11, "rejected", "member_not_found"),
        (12, "rejected", "invalid"),
        (13, "rejected", "invalid"),
        (14, "rejected", "invalid"),
        (15, "rejected", "invalid"),
    ]
    assert (body["created"], body["duplicates"], body["parked"], body["rejected"]) == (3, 1, 1, 11)
    assert body["results"][10]["detail"] == "weight: There is no such field."
    stored = {str(pk) for pk in Transaction.objects.values_list("pk", flat=True)}
    assert {row["id"] for row in body["results"] if "id" in row} == stored
    assert ParkedRefund.objects.get().external_id == "r-early"
    # 3.00 + 3.00 + 1.50, and 1.20 taken back by the refund.
    assert Bonus.objects.get().balance == D("6.30")


def test_repeated_batch_records_nothing_new(till, member):
    rows = [purchase(member, "1"), purchase(member, "2"), refund("3", "1", "10.00")]
    first = till.post("transactions/batch", {"transactions": rows}).json()

    again = till.post("transactions/batch", {"transactions": rows}).json()

    assert (first["created"], again["created"], again["duplicates"]) == (3, 0, 3)
    assert [row["id"] for row in again["results"]] == [row["id"] for row in first["results"]]
    assert Transaction.objects.count() == 3


def test_list_alone_is_a_batch_too(till, member):
    body = till.post("transactions/batch", [purchase(member, "1")]).json()

    assert (body["created"], Transaction.objects.get().source) == (1, "batch")


def test_purchase_of_a_batch_may_be_repeated_alone(till, member):
    till.post("transactions/batch", [purchase(member, "1")])

    assert till.post("transactions", purchase(member, "1")).status_code == 200


def test_empty_batch_does_nothing(till):
    body = till.post("transactions/batch", []).json()

    assert body == {"results": [], "created": 0, "duplicates": 0, "parked": 0, "rejected": 0}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("transactions", "required")]),
        ({"transactions": {}}, [("transactions", "required")]),
        ({"transactions": [], "dry_run": True}, [("dry_run", "unknown_field")]),
        ([{}] * (MOST_ROWS + 1), [("transactions", "max_length")]),
        ("text", [("transactions", "required")]),
    ],
)
def test_what_is_no_batch_is_refused(till, body, errors):
    if isinstance(body, str):
        body = f'"{body}"'

    assert refusal(till.post("transactions/batch", body)) == (400, "invalid", errors)


def test_full_batch_costs_a_bounded_number_of_queries(till, django_assert_max_num_queries):
    members = [MemberFactory() for _ in range(3)]
    rows = [purchase(members[number % 3], str(number)) for number in range(MOST_ROWS)]

    with django_assert_max_num_queries(40):
        body = till.post("transactions/batch", rows).json()

    assert body["created"] == MOST_ROWS
