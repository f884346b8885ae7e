"""Refunds take back what the purchase brought, once and in proportion, and wait for a late purchase."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db.models import Sum

from loyalty.errors import (
    ExternalIdReused,
    RefundExceedsPurchase,
    RefundUnlinked,
)
from loyalty.models import Bonus, BonusEntry, BonusLot, Member, ParkedRefund, StatusTier, Transaction
from loyalty.services.expiry import expire_bonuses
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import LineRefund, RefundRequest, Status
from tests.factories import NOON, BusinessFactory, MemberFactory, give_bonuses
from tests.promos.requests import days, entries_of, give_back, lots_of, purchase, refund, spend

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]
LAPSE = datetime(2027, 6, 15, 21, 0, tzinfo=UTC)  # the end of 15 June 2027 in Moscow


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
            "restored": "0.00", "repaid": "0.00", "recovered": "0.00", "taken_back": "150.00",
            "expired": "0.00", "debt": "300.00", "written_off": "50.00",
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

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_an_early_refund_larger_than_its_purchase_changes_nothing(self, member, business, at_once):
        requests = [
            refund(business, "R", "1001", "1000.01", member_id=member.pk),
            purchase(member, business),
        ]

        outcomes = []
        for start in range(0, 2, at_once):
            outcomes += record_many(requests[start : start + at_once], at=NOON)

        # In one call it is known to be too large, and said; alone it waits, and is reported.
        early = Status.PARKED if at_once == 1 else Status.REJECTED
        assert [outcome.status for outcome in outcomes] == [early, Status.CREATED]
        assert ParkedRefund.objects.count() == (at_once == 1)
        assert not Transaction.objects.filter(kind="refund").exists()
        assert Bonus.objects.get(member=member).balance == D("30.00")

    def test_a_refund_by_amount_says_what_it_took_of_each_line(self, member, business):
        lines = [{"amount": "600.00"}, {"amount": "400.00"}]
        record_purchase(purchase(member, business, lines=lines), at=NOON)

        by_amount, _ = record_refund(refund(business, "R1", "1001", "500.00"), at=NOON + days(1))
        again, new = record_refund(
            replace(refund(business, "R1", "1001", "500.00"), purchased_at=None), at=NOON
        )
        too_much = RefundRequest(business, "R2", "1001", lines=(LineRefund(1, D("300.01")),))
        with pytest.raises(RefundExceedsPurchase) as refusal:
            record_refund(too_much, at=NOON + days(1))
        by_line, _ = record_refund(replace(too_much, lines=(LineRefund(1), LineRefund(2))), at=NOON + days(1))

        taken = [
            (part["line"], part["amount"], part["bonus_accrued"]) for part in by_amount.explanation["lines"]
        ]
        assert taken == [(1, "300.00", "9.00"), (2, "200.00", "6.00")]
        assert (again.pk, new) == (by_amount.pk, False)
        assert refusal.value.details["left"] == "300.00"
        assert (by_line.amount, by_line.bonus_accrued) == (D("-500.00"), D("-15.00"))
        assert [(part["line"], part["amount"]) for part in by_line.lines] == [(1, "300.00"), (2, "200.00")]

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


# --- What the purchase had brought -------------------------------------------------------------------


class TestTakingBack:
    def test_pending_bonuses_are_taken_back_where_they_wait(self, member):
        business = BusinessFactory(pending_days=14)
        record_purchase(purchase(member, business), at=NOON)

        give_back(business, "R", "1001", "500.00", at=NOON + days(1))

        bonus = Bonus.objects.get(member=member)
        assert (bonus.balance, bonus.pending) == (0, D("15.00"))

    def test_other_lots_give_soonest_expiry_first(self, member, business):
        record_purchase(purchase(member, business), at=NOON)  # 30.00
        spend(member, "30.00")
        give_bonuses(member, business, "20.00", expires_at=LAPSE + days(9))
        give_bonuses(member, business, "20.00", expires_at=LAPSE + days(5))

        give_back(business, "R", "1001", "1000.00", at=NOON)

        assert [left for left, _ in lots_of(member)] == [D(0), D(10), D(0)]

    def test_what_lapsed_unspent_counts_as_taken_back(self, member, business):
        record_purchase(purchase(member, business), at=NOON)  # 30.00
        spend(member, "10.00")

        half = give_back(business, "R1", "1001", "500.00", at=LAPSE)
        rest = give_back(business, "R2", "1001", "500.00", at=LAPSE + days(1))

        # 20.00 had lapsed: 15.00 of the first half, 5.00 of the second; 10.00 had been spent.
        names = ("taken_back", "expired", "debt", "written_off")
        assert [[row.explanation["refund"][name] for name in names] for row in (half, rest)] == [
            ["0.00", "15.00", "0.00", "0.00"],
            ["0.00", "5.00", "0.00", "10.00"],
        ]
        assert Bonus.objects.get(member=member).balance == 0

    def test_the_job_may_have_closed_them_before(self, member, business):
        record_purchase(purchase(member, business), at=NOON)
        expire_bonuses(at=LAPSE)

        back = give_back(business, "R", "1001", "1000.00", at=LAPSE + days(1))

        assert back.explanation["refund"]["expired"] == "30.00"
        assert entries_of(member) == [("accrual", D(30)), ("expiry", D(-30))]

    @pytest.mark.parametrize(
        ("level", "debt", "written_off"), [(1, "0.00", "4000.00"), (2, "300.00", "3700.00"),
                                           (3, "1000.00", "3000.00"), (4, "3000.00", "1000.00")],
    )  # fmt: skip
    def test_debt_goes_to_the_tiers_overdraft_and_the_rest_is_the_issuers(
        self, business, level, debt, written_off
    ):
        tier = StatusTier.objects.get(level=level)
        member = MemberFactory(status_tier=tier)
        amount = D(4000) * 100 / tier.accrual_percent
        record_purchase(purchase(member, business, amount=amount.quantize(D("0.01"))), at=NOON)
        spend(member, "4000.00", external_id="spent")
        Member.objects.filter(pk=member.pk).update(status_tier=tier)  # though it rose with the purchase

        left = Transaction.objects.get(external_id="1001")
        back = give_back(business, "R", "1001", left.amount, at=NOON)

        assert back.explanation["refund"]["debt"] == debt
        assert back.explanation["refund"]["written_off"] == written_off
        assert Bonus.objects.get(member=member).debt == D(debt)
        memos = BonusEntry.objects.filter(kind__in=["debt", "write_off"])
        assert {entry.lot.issuer for entry in memos} == {business}

    def test_the_overdraft_is_for_all_refunds_together(self, business):
        member = MemberFactory(status_tier=StatusTier.objects.get(level=2))
        for number in range(2):
            record_purchase(purchase(member, business, str(number), "4000.00"), at=NOON)  # 200.00
        spend(member, "400.00")

        debts = [
            give_back(business, f"R{number}", str(number), "4000.00", at=NOON).explanation["refund"]["debt"]
            for number in range(2)
        ]

        assert debts == ["200.00", "100.00"]
        assert Bonus.objects.get(member=member).debt == D("300.00")
