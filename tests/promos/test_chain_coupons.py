"""What a trigger brings and whom it leaves out: consent, budget, continuations, delay."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from loyalty.models import Notification
from loyalty.services.consents import Choice, advertising, decide
from promos.chain_terms import terms_of
from promos.coupon_messages import message_words
from promos.models import ChainAssignment, Coupon, CrossPromoChain
from promos.services import chains
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.delayed import issue_delayed_coupons
from tests.factories import (
    NOON,
    BusinessFactory,
    ChainFactory,
    MemberFactory,
    StaffFactory,
    agreeing,
    consent,
)
from tests.promos.requests import days, purchase, refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(db):
    return agreeing()


def buy(member, business, external_id="1001", amount="1000.00", *, at=NOON, **fields):
    bill = purchase(member, business, external_id, amount, purchased_at=at, **fields)
    return record_purchase(bill, at=at)[0]


def arms(chain):
    rows = ChainAssignment.objects.filter(chain=chain).order_by("pk")
    return list(rows.values_list("arm", "reason"))


def withdraw(member, partner=None):
    about = advertising("inapp", partner.pk if partner else None)
    decide(Choice(withdrawn=frozenset([about])), member_id=member.pk, language="ru", ip=None, at=NOON)


class TestConsent:
    def test_without_consent_no_coupon_no_message_and_nobody_is_told(self, business):
        member, chain = MemberFactory(), ChainFactory(source_business=business)

        told = [buy(member, business, name) for name in ("1", "2")]

        assert arms(chain) == [("skipped", "no_consent")]
        assert not Coupon.objects.exists()
        assert not Notification.objects.exists()
        assert [[rule["rule"] for rule in t.explanation["rules"]] for t in told] == [["tier"], ["tier"]]

    def test_consent_given_since_brings_the_coupon_at_the_next_purchase(self, business):
        member, chain = MemberFactory(), ChainFactory(source_business=business)
        buy(member, business, "1")
        consent(member, partner=chain.target_business)

        buy(member, business, "2")

        assert arms(chain) == [("skipped", "no_consent"), ("treatment", "")]

    def test_a_no_to_the_target_stands_above_a_yes_to_the_circle(self, member, business):
        chain = ChainFactory(source_business=business)
        consent(member, partner=chain.target_business)
        withdraw(member, chain.target_business)

        buy(member, business)

        assert arms(chain) == [("skipped", "no_consent")]

    def test_the_hold_out_is_asked_as_well(self, business):
        chain = ChainFactory(source_business=business, holdout_percent=D(100))

        buy(MemberFactory(), business)

        assert arms(chain) == [("skipped", "no_consent")]

    def test_the_coupon_is_announced_once_as_advertising_of_the_target(self, member, business):
        chain = ChainFactory(source_business=business)

        buy(member, business)
        buy(member, business)

        message, coupon = Notification.objects.get(), Coupon.objects.get()
        assert (message.template, message.purpose, message.partner, message.status) == (
            "coupon_issued", "advertising", chain.target_business, "queued",
        )  # fmt: skip
        assert message.dedupe_key == f"coupon:{coupon.pk}"
        assert (message.member, message.payload["coupon"]) == (member, str(coupon.pk))
        with override("en"):
            assert f"Because you bought at “{business.name}”. 20% off" in message_words(
                message.template, message.payload
            )[1].replace("\u202f", "")

    def test_a_coupon_that_has_run_out_already_is_not_announced(self, member, business):
        ChainFactory(source_business=business, accepted_at=NOON - days(60))
        old = purchase(member, business, purchased_at=NOON - days(30))

        record_purchase(old, at=NOON)

        assert (Coupon.objects.count(), Notification.objects.count()) == (1, 0)


class TestVersionsNamed:
    def test_assignment_and_coupon_name_the_version_that_brought_them(self, business):
        source, target = StaffFactory(business=business).member, StaffFactory().member
        chain = ChainFactory(
            source_business=business, target_business=target.staff_memberships.get().business,
            status="draft", accepted_by=None, accepted_at=None,
        )  # fmt: skip
        chains.propose(chain.pk, by=source, at=NOON - days(3))
        chains.decline(chain.pk, reason="нет", by=target, at=NOON - days(3))
        chains.propose(chain.pk, by=source, at=NOON - days(2))
        chains.accept(chain.pk, by=target, at=NOON - days(1))

        buy(agreeing(), business)

        assert ChainAssignment.objects.get().chain_version == 2
        assert Coupon.objects.get().chain_version == 2

    def test_purchases_from_before_a_resumption_bring_nothing(self, member, business):
        chain = ChainFactory(source_business=business, resumed_at=NOON + timedelta(seconds=1))

        buy(member, business)
        assert arms(chain) == []
        buy(member, business, "2", at=NOON + timedelta(seconds=1))

        assert arms(chain) == [("treatment", "")]


class TestLimits:
    def test_a_limit_that_is_met_is_told_and_each_member_counted_once(self, business):
        chain = ChainFactory(source_business=business, total_limit=1)
        buy(agreeing(), business, "first")
        late = agreeing()

        told = [buy(late, business, name) for name in ("1", "2")]

        assert arms(chain) == [("treatment", ""), ("skipped", "total_limit")]
        reasons = [t.explanation["rules"][-1]["reason"] for t in told]
        assert reasons == ["total_limit: all 1 are issued"] * 2

    def test_a_raised_limit_helps_those_who_came_too_late(self, business):
        chain = ChainFactory(source_business=business, total_limit=1)
        late = agreeing()
        buy(agreeing(), business, "first")
        buy(late, business, "1")
        CrossPromoChain.objects.update(total_limit=2)

        buy(late, business, "2")

        assert arms(chain)[-1] == ("treatment", "")

    def test_the_day_begins_anew_in_programme_time(self, business):
        chain = ChainFactory(source_business=business, daily_limit=1)
        midnight = NOON.replace(hour=21)  # 0:00 in Moscow

        for number, at in enumerate([NOON, midnight - timedelta(seconds=1), midnight]):
            buy(agreeing(), business, str(number), at=at)

        assert arms(chain) == [("treatment", ""), ("skipped", "daily_limit"), ("treatment", "")]

    def test_a_spent_budget_ends_the_chain_between_two_purchases_and_a_refund_revives_it(self, business):
        chain = ChainFactory(source_business=business, budget_rub=D("200.00"))
        first, second = agreeing(), agreeing()
        buy(first, business, "1")
        buy(second, business, "2")

        buy(first, chain.target_business, "T", coupon_code=first.coupons.get().code)
        chain.refresh_from_db()
        assert chain.spent_rub == D("200.00")
        told = buy(agreeing(), business, "3")
        buy(second, chain.target_business, "T2", coupon_code=second.coupons.get().code)

        assert told.explanation["rules"][-1]["reason"] == "budget: all 200.00 are spent"
        assert arms(chain)[-1] == ("skipped", "budget")
        chain.refresh_from_db()
        assert chain.spent_rub == D("400.00")  # A coupon that was out is honoured.
        for name in ("T", "T2"):
            record_refund(refund(chain.target_business, f"R{name}", name, "1000.00"), at=NOON + days(1))
        chain.refresh_from_db()
        assert chain.spent_rub == 0
        buy(agreeing(), business, "4", at=NOON + days(1))
        assert arms(chain)[-1] == ("treatment", "")


class TestContinuation:
    @pytest.fixture
    def links(self):
        a, b, c = BusinessFactory(), BusinessFactory(), BusinessFactory()
        first = ChainFactory(source_business=a, target_business=b)
        return first, ChainFactory(source_business=b, target_business=c, continues=first)

    def test_only_a_purchase_with_the_coupon_of_the_chain_before_goes_on(self, member, links):
        first, second = links
        buy(member, first.source_business, "A")

        plain = buy(member, second.source_business, "B1")
        told = plain.explanation["rules"][-1]
        assert (told["applied"], told["reason"].partition(":")[0]) == (False, "continues")
        assert arms(second) == []

        code = Coupon.objects.get(chain=first).code
        buy(member, second.source_business, "B2", coupon_code=code)

        assert arms(second) == [("treatment", "")]
        assert Coupon.objects.get(chain=second).business == second.target_business

    def test_another_coupon_does_not_count_and_one_of_another_purchase_neither(self, member, links):
        first, second = links
        other = ChainFactory(source_business=first.source_business, target_business=second.source_business)
        buy(member, first.source_business, "A")
        codes = {coupon.chain_id: coupon.code for coupon in Coupon.objects.all()}

        record_many(
            [
                purchase(member, second.source_business, "B1", coupon_code=codes[other.pk]),
                purchase(member, second.source_business, "B2"),
            ],
            at=NOON,
        )

        assert arms(second) == []

    @pytest.mark.usefixtures("spelled_out")
    def test_a_purchase_without_a_coupon_reads_nothing_for_a_continuation(self, member, links):
        _, second = links

        with CaptureQueriesContext(connection) as queries:
            buy(member, second.source_business)

        assert not any("chain_assignments" in query["sql"] for query in queries)


class TestDelay:
    @pytest.fixture
    def chain(self, business):
        return ChainFactory(
            source_business=business, delay_hours=24, trigger_min_amount=D(500), total_limit=1
        )

    def due(self):
        return issue_delayed_coupons(at=NOON + days(1))

    def test_the_coupon_comes_when_it_is_due_and_only_once(self, chain, member, business):
        transaction = buy(member, business)
        assert not Coupon.objects.exists()
        assert [rule["rule"] for rule in transaction.explanation["rules"]] == ["tier"]
        assert issue_delayed_coupons(at=NOON + days(1) - timedelta(seconds=1)) == 0

        assert [self.due(), self.due()] == [1, 0]

        coupon, assignment = Coupon.objects.get(), ChainAssignment.objects.get()
        assert (coupon.valid_from, coupon.valid_until) == (NOON + days(1), NOON + days(15))
        assert (coupon.member, coupon.business, coupon.issued_for, coupon.chain_version) == (
            member, chain.target_business, transaction, 1,
        )  # fmt: skip
        assert (assignment.arm, assignment.coupon, assignment.due_at) == ("treatment", coupon, None)
        assert Notification.objects.get().dedupe_key == f"coupon:{coupon.pk}"

    def test_while_it_is_awaited_another_trigger_brings_nothing(self, chain, member, business):
        buy(member, business)
        buy(member, business, "2")

        assert arms(chain) == [("treatment", "")]

    def test_consent_withdrawn_meanwhile_no_coupon_and_no_message(self, chain, member, business):
        buy(member, business)
        withdraw(member)

        assert self.due() == 0

        assert arms(chain) == [("skipped", "no_consent")]
        assert not Coupon.objects.exists()
        assert not Notification.objects.exists()

    @pytest.mark.parametrize(("returned", "left"), [("1000.00", 0), ("500.01", 0), ("500.00", 1)])
    def test_a_refund_that_leaves_less_than_the_least_bill_stops_it(
        self, chain, member, business, returned, left
    ):
        buy(member, business)
        early = refund(business, "R", "1001", returned, purchased_at=NOON + timedelta(hours=1))
        record_refund(early, at=NOON + timedelta(hours=1))

        assert self.due() == left

        assert arms(chain) == [("treatment", "") if left else ("skipped", "refunded")]

    @pytest.mark.parametrize("status", ["paused", "ended"])
    def test_a_stopped_chain_issues_nothing(self, chain, member, business, status):
        buy(member, business)
        CrossPromoChain.objects.update(status=status)

        assert self.due() == 0

        assert arms(chain) == [("skipped", "stopped")]

    def test_a_coupon_that_would_have_run_out_does_not_come(self, chain, member, business):
        buy(member, business)

        assert issue_delayed_coupons(at=NOON + days(15)) == 0

        assert arms(chain) == [("skipped", "late")]

    def test_it_counts_against_the_limit_from_the_trigger_and_is_given_back(self, chain, business):
        first, second = agreeing(), agreeing()
        buy(first, business, "1")
        buy(second, business, "2")
        assert arms(chain) == [("treatment", ""), ("skipped", "total_limit")]
        withdraw(first)

        self.due()
        buy(second, business, "3", at=NOON + days(1))

        chain.refresh_from_db()
        assert chain.issued_count == 1
        assert arms(chain)[-1] == ("treatment", "")

    def test_the_hold_out_loses_the_same_members(self, business):
        chain = ChainFactory(source_business=business, delay_hours=24, holdout_percent=D(100))
        stays, leaves = agreeing(), agreeing()
        buy(stays, business, "1")
        buy(leaves, business, "2")
        withdraw(leaves)

        assert self.due() == 0

        assert arms(chain) == [("control", ""), ("skipped", "no_consent")]
        assert not ChainAssignment.objects.exclude(due_at=None).exists()

    def test_the_terms_are_those_of_the_trigger(self, business, member):
        source, target = StaffFactory(business=business).member, StaffFactory().member
        chain = ChainFactory(
            source_business=business, target_business=target.staff_memberships.get().business,
            status="draft", accepted_by=None, accepted_at=None, delay_hours=24,
        )  # fmt: skip
        chains.propose(chain.pk, by=source, at=NOON - days(1))
        chain = chains.accept(chain.pk, by=target, at=NOON - days(1))
        buy(member, business)
        chains.propose_change(chain.pk, terms_of(chain) | {"coupon_value": D(5)}, by=source, at=NOON)
        chains.accept(chain.pk, by=target, at=NOON)

        self.due()

        assert (Coupon.objects.get().benefit_value, Coupon.objects.get().chain_version) == (D("20.00"), 1)

    @pytest.mark.parametrize("count", [1, 5])
    def test_it_costs_the_same_for_one_as_for_five(self, business, count, django_assert_num_queries):
        ChainFactory(source_business=business, delay_hours=24)
        record_many([purchase(agreeing(), business, str(n)) for n in range(count)], at=NOON)

        with django_assert_num_queries(4):  # the frame of its transaction, what is due, all that is written
            assert self.due() == count
