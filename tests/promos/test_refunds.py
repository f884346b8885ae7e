"""Refunds take back what the purchase brought, once and in proportion, and wait for a late purchase."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db.models import Sum

from loyalty.errors import (
    ExternalIdReused,
    RefundExceedsPurchase,
    RefundUnlinked,
)
from loyalty.models import Bonus, BonusEntry, BonusLot, ParkedRefund, StatusTier, Transaction
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import Status
from tests.factories import NOON, BusinessFactory, MemberFactory
from tests.promos.requests import entries_of, purchase, refund

pytestmark = pytest.mark.django_db


def spend(member, amount, **fields):
    """Spend bonuses at a business that gives none, on a bill ten times as large."""
    shop = fields.pop("business", None) or BusinessFactory(can_accrue=False, requires_presence_code=False)
    bill = purchase(member, shop, amount=D(amount) * 10, redeem=D(amount), **fields)
    return record_purchase(bill, at=bill.purchased_at)[0]


class TestRefund:
    @pytest.mark.parametrize("parts", [["1000.00"], ["333.33", "333.33", "333.34"], ["0.01", "999.99"]])
    def test_buy_and_refund_in_any_split_leaves_nothing(self, member, business, parts):
        record_purchase(purchase(member, business), at=NOON)

        for number, part in enumerate(parts):
            record_refund(refund(business, f"R{number}", "1001", part), at=NOON + timedelta(days=2))

        assert Bonus.objects.get(member=member).balance == D("0.00")
        assert BonusLot.objects.get().remaining == D("0.00")
        sums = Transaction.objects.aggregate(paid=Sum("amount_paid"), accrued=Sum("bonus_accrued"))
        assert sums == {"paid": D("0.00"), "accrued": D("0.00")}

    def test_one_kopeck_above_the_purchase_is_refused(self, member, business):
        record_purchase(purchase(member, business), at=NOON)
        record_refund(refund(business, "R1", "1001", "999.99"), at=NOON)

        with pytest.raises(RefundExceedsPurchase) as refusal:
            record_refund(refund(business, "R2", "1001", "0.02"), at=NOON)

        assert refusal.value.details["left"] == "0.01"
        assert Transaction.objects.filter(kind="refund").count() == 1

    def test_what_the_lot_no_longer_holds_comes_from_other_lots_then_debt_then_write_off(self, business):
        member = MemberFactory(status_tier=StatusTier.objects.get(level=2))  # 5 %, overdraft 300
        record_purchase(purchase(member, business, "big", "10000.00"), at=NOON)  # 500.00
        spend(member, "450.00")
        record_purchase(purchase(member, business, "small", "2000.00"), at=NOON)  # 100.00

        refunded, _ = record_refund(refund(business, "R", "big", "10000.00"), at=NOON)

        assert refunded.explanation["refund"] == {
            "restored": "0.00", "taken_back": "150.00", "expired": "0.00", "debt": "300.00",
            "written_off": "50.00",
        }  # fmt: skip
        assert entries_of(member)[-4:] == [
            ("reversal", D("-50.00")),
            ("reversal", D("-100.00")),
            ("debt", D("-300.00")),
            ("write_off", D("-50.00")),
        ]
        charged = BonusEntry.objects.filter(kind__in=["debt", "write_off"])
        assert {entry.lot.transaction.external_id for entry in charged} == {"big"}
        assert Bonus.objects.get(member=member).debt == D("300.00")

    def test_new_accruals_repay_debt_first(self, business):
        member = MemberFactory(status_tier=StatusTier.objects.get(level=2))
        record_purchase(purchase(member, business, "big", "800.00"), at=NOON)  # 40.00
        spend(member, "40.00")
        record_refund(refund(business, "R", "big", "800.00"), at=NOON)

        transaction, _ = record_purchase(purchase(member, business), at=NOON)  # earns 50.00

        bonus = Bonus.objects.get(member=member)
        assert (bonus.balance, bonus.debt) == (D("10.00"), D("0.00"))
        assert BonusLot.objects.get(transaction=transaction).remaining == D("10.00")
        assert entries_of(member)[-3:] == [
            ("debt", D("-40.00")),
            ("accrual", D("50.00")),
            ("debt_repayment", D("-40.00")),
        ]
        [repaid] = [rule for rule in transaction.explanation["rules"] if rule["rule"] == "debt"]
        assert repaid["effect"] == "-40.00"

    def test_a_refund_before_its_purchase_waits_and_is_applied_with_it(self, member, business):
        early, parked = record_refund(refund(business, "R", "1001", "400.00", member_id=member.pk), at=NOON)
        assert (early, parked) == (None, True)

        record_purchase(purchase(member, business), at=NOON)

        assert not ParkedRefund.objects.exists()
        assert Transaction.objects.get(kind="refund").amount == D("-400.00")
        assert Bonus.objects.get(member=member).balance == D("18.00")

    def test_a_parked_refund_repeated_stays_one(self, member, business):
        request = refund(business, "R", "1001", "400.00", member_id=member.pk)
        record_refund(request, at=NOON)

        [outcome] = record_many([request], at=NOON)
        [conflict] = record_many([replace(request, amount=D("1.00"))], at=NOON)

        assert outcome.status == Status.DUPLICATE
        assert isinstance(conflict.error, ExternalIdReused)
        assert ParkedRefund.objects.get().amount == D("400.00")

    def test_refunds_that_name_the_wrong_thing_are_refused(self, member, business):
        record_purchase(purchase(member, business), at=NOON)
        record_refund(refund(business, "R", "1001", "1.00"), at=NOON)
        wrong = [
            refund(business, "W1", None, "1.00"),
            refund(business, "W2", "R", "1.00"),
            refund(business, "W3", "1001", "1.00", member_id=MemberFactory().pk),
            refund(business, "W4", "1001", "1.00", purchased_at=NOON - timedelta(days=1)),
        ]

        for request in wrong:
            with pytest.raises(RefundUnlinked):
                record_refund(request, at=NOON)

        assert Transaction.objects.filter(kind="refund").count() == 1
