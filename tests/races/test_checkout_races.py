"""Each race has a twin that shows it is a race: the same scene without the lock goes wrong."""

from dataclasses import replace
from decimal import Decimal as D

import pytest
from django.db import IntegrityError
from django.db.models import Sum

from loyalty import locks
from loyalty.errors import ExternalIdReused
from loyalty.models import Bonus, BonusEntry, ParkedRefund, Transaction
from promos.errors import CouponNotRedeemable
from promos.models import Coupon
from promos.services import checkout
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.coupons import Coupons
from promos.services.purchases import PurchaseRequest, RefundRequest
from tests.factories import NOON, BusinessFactory, CouponFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
TILLS = 8


def purchase(member, business, external_id, **fields):
    return PurchaseRequest(
        business=business, external_id=external_id, member_id=member.pk, amount=D("1000.00"), **fields
    )


def unlock(monkeypatch):
    """Read the same members and lock none of them."""
    monkeypatch.setattr(locks, "LOCK_MEMBERS", locks.LOCK_MEMBERS.replace("FOR NO KEY UPDATE", ""))


def balance_and_entries(member):
    entries = BonusEntry.objects.filter(member=member).aggregate(sum=Sum("amount"))["sum"]
    return Bonus.objects.get(member=member).balance, entries


def test_one_receipt_from_many_tills_is_stored_once(at_once):
    member, business = MemberFactory(), BusinessFactory()
    request = purchase(member, business, "1")

    results = at_once(*[lambda: record_purchase(request, at=NOON)] * TILLS)

    assert sorted(created for _, created in results) == [False] * (TILLS - 1) + [True]
    assert len({transaction.pk for transaction, _ in results}) == 1
    assert balance_and_entries(member) == (D("30.00"), D("30.00"))


def test_one_receipt_for_two_members_is_stored_for_one(at_once):
    members, business = [MemberFactory(), MemberFactory()], BusinessFactory()
    requests = [purchase(member, business, "1") for member in members]

    results = at_once(*[lambda r=r: record_purchase(r, at=NOON) for r in requests])

    refused = [result for result in results if isinstance(result, ExternalIdReused)]
    assert [refusal.details["fields"] for refusal in refused] == [["member"]]
    assert Transaction.objects.count() == 1


def test_of_two_batches_with_the_same_receipts_one_stores_them(at_once, monkeypatch):
    # The receipts meet in rows that are sent while others are still decided.
    monkeypatch.setattr(checkout, "FIRST_AHEAD_ROWS", 3)
    monkeypatch.setattr(checkout, "AHEAD_ROWS", 3)
    members, business = [MemberFactory(), MemberFactory()], BusinessFactory()
    batches = [[purchase(member, business, f"{n}") for n in range(10)] for member in members]

    results = at_once(*[lambda batch=batch: record_many(batch, at=NOON) for batch in batches])

    refused = [[type(outcome.error) for outcome in batch if outcome.error] for batch in results]
    assert sorted(refused, key=len) == [[], [ExternalIdReused] * 10]
    assert Transaction.objects.count() == 10
    assert sorted(
        balance_and_entries(member)[1] or 0 for member in members if Bonus.objects.filter(member=member)
    ) == [D("300.00")]


def test_one_early_refund_for_two_members_is_parked_for_one(at_once):
    business = BusinessFactory()

    for number in range(5):  # Threads need not meet the first time.
        requests = [
            RefundRequest(business, f"R{number}", "1", D("10.00"), MemberFactory().pk) for _ in range(TILLS)
        ]
        results = at_once(*[lambda r=r: record_refund(r, at=NOON) for r in requests])

        assert [type(result) for result in results].count(ExternalIdReused) == TILLS - 1
        assert ParkedRefund.objects.filter(external_id=f"R{number}").count() == 1


def test_purchases_of_one_member_at_once_all_reach_the_balance(at_once):
    member, business = MemberFactory(), BusinessFactory()
    requests = [purchase(member, business, str(number)) for number in range(TILLS)]

    at_once(*[lambda r=r: record_purchase(r, at=NOON) for r in requests])

    assert balance_and_entries(member) == (D("240.00"), D("240.00"))


def test_without_the_lock_purchases_collide_and_the_database_refuses_them(at_once, monkeypatch):
    unlock(monkeypatch)
    business = BusinessFactory()

    refused = 0
    for round_ in range(5):  # Threads need not meet the first time.
        member = MemberFactory()
        requests = [purchase(member, business, f"{round_}-{number}") for number in range(TILLS)]
        results = at_once(*[lambda r=r: record_purchase(r, at=NOON) for r in requests])
        refused += len([result for result in results if isinstance(result, IntegrityError)])
        balance, entries = balance_and_entries(member)
        assert balance == entries

    assert refused > 0


def two_tills(coupon, business, at_once):
    request = purchase(coupon.member, business, "a", coupon_code=coupon.code)
    other = replace(request, external_id="b")
    return at_once(lambda: record_purchase(request, at=NOON), lambda: record_purchase(other, at=NOON))


def test_one_coupon_at_two_tills_is_redeemed_once(at_once):
    business = BusinessFactory()
    coupon = CouponFactory(business=business)

    results = two_tills(coupon, business, at_once)

    assert len([result for result in results if isinstance(result, CouponNotRedeemable)]) == 1
    assert Transaction.objects.filter(coupon=coupon).count() == 1
    assert Coupon.objects.get().status == Coupon.Status.REDEEMED


def test_without_the_locks_one_coupon_is_redeemed_twice(at_once, monkeypatch):
    unlock(monkeypatch)
    monkeypatch.setattr(
        Coupons, "_locked", lambda self, codes, ids: list(Coupon.objects.filter(code__in=codes))
    )
    # Where no bonuses move, no chain of entries gives the second till away.
    business = BusinessFactory(can_accrue=False)

    redeemed = []
    for number in range(5):  # Threads need not meet the first time.
        coupon = CouponFactory(business=business)
        request = purchase(coupon.member, business, f"a{number}", coupon_code=coupon.code)
        other = replace(request, external_id=f"b{number}")
        at_once(lambda r=request: record_purchase(r, at=NOON), lambda r=other: record_purchase(r, at=NOON))
        redeemed.append(Transaction.objects.filter(coupon=coupon).count())

    assert 2 in redeemed
