"""A purchase or refund is recorded once, with its bonuses, coupon and chains."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from loyalty.errors import (
    ExternalIdReused,
    InvalidPurchase,
    MemberNotFound,
    RefundExceedsPurchase,
    RefundUnlinked,
)
from loyalty.models import Bonus, BonusEntry, BonusLot, ParkedRefund, StatusTier, Transaction
from promos.errors import CouponNotRedeemable
from promos.models import ChainAssignment, Coupon
from promos.rules import in_holdout
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import PurchaseRequest, RefundRequest, Status
from svoykrug.db.models import uuid7
from tests.factories import NOON, BusinessFactory, ChainFactory, CouponFactory, MemberFactory

pytestmark = pytest.mark.django_db


def purchase(member, business, external_id="1001", amount="1000.00", **fields):
    fields.setdefault("purchased_at", NOON)
    return PurchaseRequest(
        business=business, external_id=external_id, member_id=member.pk, amount=D(amount), **fields
    )


def refund(business, external_id, refund_of, amount, **fields):
    fields.setdefault("purchased_at", NOON + timedelta(days=1))
    return RefundRequest(
        business=business, external_id=external_id, refund_of=refund_of, amount=D(amount), **fields
    )


def entries_of(member):
    return list(BonusEntry.objects.filter(member=member).order_by("pk").values_list("kind", "amount"))


def test_purchase_opens_a_lot_by_the_tiers_percent(member, business):
    transaction, created = record_purchase(purchase(member, business), at=NOON)

    assert created
    assert (transaction.amount_paid, transaction.bonus_accrued) == (D("1000.00"), D("30.00"))
    lot = BonusLot.objects.get(member=member)
    assert (lot.issuer, lot.accrued, lot.remaining) == (business, D("30.00"), D("30.00"))
    assert lot.available_from == NOON
    # 365 days later, at the end of that day in Moscow.
    assert lot.expires_at == datetime(2027, 6, 15, 21, 0, tzinfo=UTC)
    assert entries_of(member) == [("accrual", D("30.00"))]
    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending, bonus.debt, bonus.expires_at) == (D(30), 0, 0, lot.expires_at)


@pytest.mark.parametrize(("level", "earned"), [(1, "30.00"), (2, "50.00"), (3, "70.00"), (4, "100.00")])
def test_each_tier_earns_its_percent(business, level, earned):
    member = MemberFactory(status_tier=StatusTier.objects.get(level=level))

    transaction, _ = record_purchase(purchase(member, business), at=NOON)

    assert transaction.bonus_accrued == D(earned)
    assert transaction.explanation["tier"]["level"] == level


def test_bonuses_of_a_partner_with_pending_days_wait(member):
    business = BusinessFactory(pending_days=14)

    record_purchase(purchase(member, business), at=NOON)

    bonus = Bonus.objects.get(member=member)
    assert (bonus.balance, bonus.pending) == (D("0.00"), D("30.00"))
    assert BonusLot.objects.get().available_from == NOON + timedelta(days=14)


def test_a_repeat_returns_the_first_and_changes_nothing(member, business):
    first, _ = record_purchase(purchase(member, business), at=NOON)

    again, created = record_purchase(purchase(member, business), at=NOON + timedelta(hours=1))

    assert (again.pk, created) == (first.pk, False)
    assert Transaction.objects.count() == 1
    assert Bonus.objects.get(member=member).balance == D("30.00")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": D("1000.01")}, "amount"),
        ({"category": "tea"}, "category"),
        ({"purchased_at": NOON + timedelta(seconds=1)}, "purchased_at"),
        ({"lines": [{"sku": "1", "amount": "1000.00"}]}, "lines"),
    ],
)
def test_a_receipt_with_other_content_is_refused_naming_the_field(member, business, change, field):
    record_purchase(purchase(member, business), at=NOON)

    with pytest.raises(ExternalIdReused) as refusal:
        record_purchase(replace(purchase(member, business), **change), at=NOON)

    assert refusal.value.details["fields"] == [field]
    assert Bonus.objects.get(member=member).balance == D("30.00")


def test_a_receipt_of_another_member_is_refused(member, business):
    record_purchase(purchase(member, business), at=NOON)
    other = MemberFactory()

    with pytest.raises(ExternalIdReused) as refusal:
        record_purchase(purchase(other, business), at=NOON)

    assert refusal.value.details["fields"] == ["member"]
    assert not BonusLot.objects.filter(member=other).exists()


def test_the_same_receipt_at_another_business_is_another_purchase(member, business):
    record_purchase(purchase(member, business), at=NOON)
    record_purchase(purchase(member, BusinessFactory()), at=NOON)

    assert Transaction.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": D("0.00")}, "amount"),
        ({"amount": D("-5.00")}, "amount"),
        ({"amount": D("1.001")}, "amount"),
        ({"amount": D("NaN")}, "amount"),
        ({"amount": D("Infinity")}, "amount"),
        ({"amount": D("1e18")}, "amount"),
        ({"purchased_at": NOON + timedelta(hours=25)}, "purchased_at"),
        ({"purchased_at": datetime(1970, 1, 1, tzinfo=UTC)}, "purchased_at"),
        ({"category": "a\x00b"}, "category"),
        ({"external_id": "x" * 201}, "external_id"),
    ],
)
def test_values_no_till_can_mean_are_refused_and_nothing_is_stored(member, business, change, field):
    with pytest.raises(InvalidPurchase) as refusal:
        record_purchase(replace(purchase(member, business), **change), at=NOON)

    assert refusal.value.field == field
    assert not Transaction.objects.exists()


def test_the_largest_real_purchase_is_recorded(member, business):
    transaction, _ = record_purchase(purchase(member, business, amount="168469.60"), at=NOON)

    assert transaction.bonus_accrued == D("5054.09")


def test_unknown_and_departed_members_are_refused(business):
    departed = MemberFactory(anonymised_at=NOON)

    for member_id in (uuid7(), departed.pk):
        with pytest.raises(MemberNotFound):
            record_purchase(
                replace(purchase(departed, business), member_id=member_id),
                at=NOON,
            )

    assert not Transaction.objects.exists()


def test_a_business_that_gives_no_bonuses_records_and_explains(member):
    business = BusinessFactory(can_accrue=False)

    transaction, _ = record_purchase(purchase(member, business), at=NOON)

    assert transaction.bonus_accrued == 0
    [rule] = transaction.explanation["rules"]
    assert (rule["applied"], rule["reason"]) == (False, "can_accrue: this business gives no bonuses")


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
        record_purchase(purchase(member, business, "small", "2000.00"), at=NOON)  # 100.00
        BonusLot.objects.filter(transaction__external_id="big").update(remaining=D("50.00"))

        refunded, _ = record_refund(refund(business, "R", "big", "10000.00"), at=NOON)

        assert refunded.explanation["refund"] == {
            "taken_back": "150.00", "debt": "300.00", "written_off": "50.00",
        }  # fmt: skip
        assert entries_of(member)[2:] == [
            ("reversal", D("-50.00")),
            ("reversal", D("-100.00")),
            ("debt", D("-300.00")),
            ("write_off", D("-50.00")),
        ]
        assert Bonus.objects.get(member=member).debt == D("300.00")

    def test_new_accruals_repay_debt_first(self, business):
        member = MemberFactory(status_tier=StatusTier.objects.get(level=2))
        Bonus.objects.create(member=member, debt=D("40.00"))

        transaction, _ = record_purchase(purchase(member, business), at=NOON)  # earns 50.00

        bonus = Bonus.objects.get(member=member)
        assert (bonus.balance, bonus.debt) == (D("10.00"), D("0.00"))
        assert BonusLot.objects.get().remaining == D("10.00")
        assert entries_of(member) == [("accrual", D("50.00")), ("debt_repayment", D("-40.00"))]
        assert transaction.explanation["rules"][-1]["rule"] == "debt"

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


class TestCoupon:
    def test_a_coupon_takes_its_percent_off_and_is_used_up(self, member, business):
        coupon = CouponFactory(member=member, business=business)

        transaction, _ = record_purchase(purchase(member, business, coupon_code=str(coupon).lower()), at=NOON)

        assert (transaction.coupon, transaction.coupon_discount) == (coupon, D("200.00"))
        assert (transaction.amount_paid, transaction.bonus_accrued) == (D("800.00"), D("24.00"))
        coupon.refresh_from_db()
        assert coupon.status == Coupon.Status.REDEEMED

    def test_a_multiplying_coupon_is_explained_apart_from_the_tier(self, member, business):
        coupon = CouponFactory(member=member, business=business, benefit="multiplier", benefit_value=D(2))

        transaction, _ = record_purchase(purchase(member, business, coupon_code=coupon.code), at=NOON)

        effects = [(rule["rule"], rule["effect"]) for rule in transaction.explanation["rules"]]
        assert effects == [("tier", "30.00"), ("coupon", "30.00")]
        assert transaction.bonus_accrued == D("60.00")

    def test_coupons_that_are_not_for_this_bill_are_refused_and_nothing_is_stored(self, member, business):
        mine = {"member": member, "business": business}
        refused = [
            CouponFactory(business=business),
            CouponFactory(member=member),
            CouponFactory(**mine, status="redeemed"),
            CouponFactory(**mine, valid_until=NOON),
            CouponFactory(**mine, valid_from=NOON + timedelta(hours=1)),
            CouponFactory(**mine, min_amount=D("1000.01")),
        ]

        for code in [coupon.code for coupon in refused] + ["0000000000", "rubbish"]:
            with pytest.raises(CouponNotRedeemable):
                record_purchase(purchase(member, business, coupon_code=code), at=NOON)

        assert not Transaction.objects.exists()

    def test_the_same_coupon_twice_in_one_call_wins_once(self, member, business):
        coupon = CouponFactory(member=member, business=business)
        requests = [purchase(member, business, name, coupon_code=coupon.code) for name in ("a", "b")]

        outcomes = record_many(requests, at=NOON)

        assert [outcome.status for outcome in outcomes] == [Status.CREATED, Status.REJECTED]


class TestChain:
    def test_a_trigger_issues_a_coupon_for_the_target(self, member):
        chain = ChainFactory(trigger_min_amount=D(500))

        transaction, _ = record_purchase(purchase(member, chain.source_business), at=NOON)

        coupon = Coupon.objects.get(member=member)
        assert (coupon.business, coupon.chain, coupon.issued_for) == (
            chain.target_business,
            chain,
            transaction,
        )
        assert coupon.valid_until == NOON + timedelta(days=14)
        assignment = ChainAssignment.objects.get()
        assert (assignment.arm, assignment.coupon, assignment.trigger) == ("treatment", coupon, transaction)
        assert transaction.explanation["rules"][-1]["params"]["coupon"] == coupon.code

    def test_redeeming_it_at_the_target_is_the_conversion(self, member):
        chain = ChainFactory()
        record_purchase(purchase(member, chain.source_business), at=NOON)
        code = Coupon.objects.get().code

        there, _ = record_purchase(purchase(member, chain.target_business, "T1", coupon_code=code), at=NOON)

        assert ChainAssignment.objects.get().converted == there

    def test_a_condition_that_fails_is_explained(self, member):
        chain = ChainFactory(trigger_min_amount=D(500))

        small, _ = record_purchase(purchase(member, chain.source_business, amount="420.00"), at=NOON)

        rule = small.explanation["rules"][-1]
        assert (rule["applied"], rule["reason"]) == (False, "min_amount: 500.00 needed, 420.00 given")
        assert not ChainAssignment.objects.exists()

    @pytest.mark.parametrize("status", ["draft", "proposed", "paused", "ended"])
    def test_a_chain_that_is_not_active_does_nothing(self, member, status):
        chain = ChainFactory(status=status)

        record_purchase(purchase(member, chain.source_business), at=NOON)

        assert not ChainAssignment.objects.exists()

    def test_purchases_from_before_the_agreement_do_not_trigger(self, member):
        chain = ChainFactory(accepted_at=NOON + timedelta(seconds=1))

        record_purchase(purchase(member, chain.source_business), at=NOON + timedelta(days=1))

        assert not ChainAssignment.objects.exists()

    def test_one_live_coupon_per_member_and_chain(self, member):
        chain = ChainFactory()
        requests = [purchase(member, chain.source_business, name) for name in ("a", "b")]

        record_many(requests, at=NOON)
        record_purchase(purchase(member, chain.source_business, "c"), at=NOON)

        assert Coupon.objects.count() == 1

    def test_the_targets_own_customers_are_skipped_and_counted(self, member):
        chain = ChainFactory()
        recent = NOON - timedelta(days=89)
        record_purchase(purchase(member, chain.target_business, "T", purchased_at=recent), at=NOON)

        record_purchase(purchase(member, chain.source_business), at=NOON)

        assert ChainAssignment.objects.get().arm == "skipped"
        assert not Coupon.objects.exists()

    def test_the_hold_out_gets_no_coupon_and_is_stable(self, business):
        chain = ChainFactory(source_business=business, holdout_percent=D("50"))
        members = [MemberFactory() for _ in range(20)]

        record_many([purchase(m, business, f"P{n}") for n, m in enumerate(members)], at=NOON)

        control = set(
            ChainAssignment.objects.filter(arm="control", coupon=None).values_list("member", flat=True)
        )
        assert control == {m.pk for m in members if in_holdout(chain.pk, m.pk, D("50"))}
        assert Coupon.objects.count() == 20 - len(control)

    def test_nothing_tells_the_hold_out_or_a_customer_of_the_target(self, business):
        ChainFactory(source_business=business, holdout_percent=D("100"))
        skipping = ChainFactory(source_business=business)
        member = MemberFactory()
        record_purchase(purchase(member, skipping.target_business, "T"), at=NOON)

        for external_id in ("1", "2"):
            told, _ = record_purchase(purchase(member, business, external_id), at=NOON)
            assert [rule["rule"] for rule in told.explanation["rules"]] == ["tier"]

        assert ChainAssignment.objects.count() == 2

    def test_the_total_limit_is_exact(self, business):
        chain = ChainFactory(source_business=business, total_limit=2)

        record_many([purchase(MemberFactory(), business, f"P{n}") for n in range(5)], at=NOON)

        chain.refresh_from_db()
        assert (Coupon.objects.count(), chain.issued_count) == (2, 2)


def test_many_and_one_give_the_same_results():
    """The set-based path is the path of one: same rows, whatever the grouping."""

    def story(business, member, target):
        return [
            purchase(member, business, "1", "999.99"),
            purchase(member, business, "2", "10.00", category="tea"),
            refund(business, "3", "1", "333.33"),
            refund(business, "4", "5", "50.00", member_id=member.pk),
            purchase(member, business, "5", "70.00"),
            purchase(member, business, "1", "1.00"),
            refund(business, "6", "", "1.00"),
            purchase(member, target, "7", "500.00"),
        ]

    def play(group):
        business, member, target = BusinessFactory(), MemberFactory(), BusinessFactory()
        ChainFactory(source_business=business, target_business=target)
        requests = story(business, member, target)
        for start in range(0, len(requests), group):
            record_many(requests[start : start + group], at=NOON + timedelta(days=1))
        rows = Transaction.objects.filter(member=member).order_by("external_id")
        lots = BonusLot.objects.filter(member=member).order_by("transaction__external_id")
        return (
            list(rows.values_list("external_id", "amount", "bonus_accrued", "category")),
            list(lots.values_list("accrued", "remaining")),
            Bonus.objects.values_list("balance", "debt").get(member=member),
            Coupon.objects.filter(member=member).count(),
        )

    assert play(1) == play(3) == play(8)


def test_the_number_of_statements_does_not_grow_with_the_batch(business):
    members = [MemberFactory() for _ in range(60)]

    def statements(count, start):
        requests = [purchase(m, business, f"{start}-{n}") for n, m in enumerate(members[:count])]
        with CaptureQueriesContext(connection) as queries:
            record_many(requests, at=NOON)
        return len(queries)

    # COPY, used from 20 rows on, is not among the captured statements.
    assert statements(1, "a") == statements(15, "b")
    assert statements(60, "c") <= statements(1, "d")
