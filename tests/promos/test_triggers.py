"""Coupons are redeemed once where they belong; chains issue them by their terms."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from loyalty.models import Transaction
from promos.errors import CouponNotRedeemable
from promos.models import ChainAssignment, Coupon
from promos.rules import in_holdout
from promos.services.checkout import record_many, record_purchase
from promos.services.purchases import Status
from tests.factories import NOON, ChainFactory, CouponFactory, agreeing
from tests.promos.requests import purchase

pytestmark = pytest.mark.django_db


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
    @pytest.fixture
    def member(self):
        return agreeing()

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
        members = [agreeing() for _ in range(20)]

        record_many([purchase(m, business, f"P{n}") for n, m in enumerate(members)], at=NOON)

        control = set(
            ChainAssignment.objects.filter(arm="control", coupon=None).values_list("member", flat=True)
        )
        assert control == {m.pk for m in members if in_holdout(chain.pk, m.pk, D("50"))}
        assert Coupon.objects.count() == 20 - len(control)

    def test_nothing_tells_the_hold_out_or_a_customer_of_the_target(self, business):
        ChainFactory(source_business=business, holdout_percent=D("100"))
        skipping = ChainFactory(source_business=business)
        member = agreeing()
        record_purchase(purchase(member, skipping.target_business, "T"), at=NOON)

        for external_id in ("1", "2"):
            told, _ = record_purchase(purchase(member, business, external_id), at=NOON)
            assert [rule["rule"] for rule in told.explanation["rules"]] == ["tier"]

        assert ChainAssignment.objects.count() == 2

    def test_the_total_limit_is_exact(self, business):
        chain = ChainFactory(source_business=business, total_limit=2)

        record_many([purchase(agreeing(), business, f"P{n}") for n in range(5)], at=NOON)

        chain.refresh_from_db()
        assert (Coupon.objects.count(), chain.issued_count) == (2, 2)
