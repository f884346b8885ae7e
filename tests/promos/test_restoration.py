"""A refund returns what paid for the purchase: bonuses to their lots, by amount or line, and its coupon."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db.models import Sum

from loyalty.errors import InvalidPurchase, RefundExceedsPurchase
from loyalty.models import Bonus, BonusEntry, StatusTier, Transaction
from loyalty.selectors import wallet
from loyalty.services.expiry import expire_bonuses
from loyalty.statement import history
from promos.models import ChainAssignment, Coupon
from promos.services.checkout import record_many, record_purchase, record_refund
from promos.services.purchases import LineRefund
from tests.factories import (
    NOON,
    BusinessFactory,
    ChainFactory,
    CouponFactory,
    MemberFactory,
    consent,
    give_bonuses,
)
from tests.promos.requests import days, entries_of, give_back, lots_of, purchase, refund, spend

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sound_ledger")]
LAPSE = datetime(2027, 6, 15, 21, 0, tzinfo=UTC)  # the end of 15 June 2027 in Moscow


@pytest.fixture
def shop():
    """A business that takes bonuses, gives none and needs no code."""
    return BusinessFactory(can_accrue=False, requires_presence_code=False)


class TestRestoration:
    def test_newest_spend_first_to_the_very_lots(self, member, business, shop):
        for number in range(3):
            give_bonuses(member, business, "50.00", expires_at=LAPSE + days(number))
        spend(member, "120.00", business=shop)  # 50, 50 and 20, of a bill of 1,200.00

        give_back(shop, "R1", "1001", "300.00", at=NOON + days(1))  # 30.00 of bonuses
        after_one = [left for left, _ in lots_of(member)]
        give_back(shop, "R2", "1001", "900.00", at=NOON + days(2))

        assert after_one == [D("0.00"), D("10.00"), D("50.00")]
        assert [left for left, _ in lots_of(member)] == [D("50.00")] * 3
        restored = BonusEntry.objects.filter(kind="restoration").order_by("position")
        assert [entry.amount for entry in restored] == [D(20), D(10), D(40), D(50)]
        assert {entry.honoured_by for entry in restored} == {shop}

    def test_a_purchase_and_its_refund_in_one_call(self, member, business, shop):
        for number in range(2):
            give_bonuses(member, business, "50.00", expires_at=LAPSE + days(number))
        bill = purchase(member, shop, redeem=D("100.00"))

        record_many([bill, refund(shop, "R", "1001", "300.00")], at=NOON + days(1))

        assert [left for left, _ in lots_of(member)] == [D("0.00"), D("30.00")]

    def test_a_lot_that_has_expired_since_lives_fourteen_more_days(self, member, business, shop):
        give_bonuses(member, business, "50.00", expires_at=LAPSE)
        give_bonuses(member, business, "70.00", expires_at=LAPSE + days(90))
        spend(member, "120.00", business=shop)

        back = give_back(shop, "R", "1001", "1200.00", at=LAPSE + days(3))

        # 00:00 on 19 June in Moscow: the 14th day after it is 3 July, to its end.
        until = datetime(2027, 7, 3, 21, 0, tzinfo=UTC)
        assert lots_of(member) == [(D(50), until), (D(70), LAPSE + days(90))]
        assert back.explanation["refund"]["restored"] == "120.00"
        assert wallet(member.pk, at=until - timedelta(microseconds=1)).available == D("120.00")
        assert expire_bonuses(at=until) == 1
        assert [left for left, _ in lots_of(member)] == [D(0), D(70)]

    def test_two_restorations_to_an_expired_lot_in_one_call(self, member, business, shop):
        give_bonuses(member, business, "50.00", expires_at=LAPSE)
        spend(member, "50.00", business=shop)
        moments = [LAPSE + days(1), LAPSE + days(2)]
        requests = [refund(shop, f"R{at}", "1001", "250.00", purchased_at=at) for at in moments]

        record_many(requests, at=moments[-1])

        # The second finds it alive again, so the first refund's fortnight stands.
        assert lots_of(member) == [(D(50), LAPSE + days(16))]

    def test_discount_bonuses_and_money_add_up_to_the_refund(self, member, business):
        shop = BusinessFactory(can_accrue=True, requires_presence_code=False)
        coupon = CouponFactory(member=member, business=shop, benefit="fixed", benefit_value=D("100.00"))
        give_bonuses(member, business, "180.00")
        bill = purchase(member, shop, redeem=D("180.00"), coupon_code=coupon.code)
        record_purchase(bill, at=NOON)  # 1,000.00 − 100.00 − 180.00 = 720.00, earns 21.60

        parts = ["333.33", "333.34", "333.33"]
        refunds = [give_back(shop, f"R{n}", "1001", part, at=NOON) for n, part in enumerate(parts)]

        for refunded, part in zip(refunds, parts, strict=True):
            row = Transaction.objects.get(pk=refunded.pk)
            assert D(part) == -(row.amount_paid + row.coupon_discount + row.bonus_redeemed)
        sums = Transaction.objects.aggregate(
            paid=Sum("amount_paid"), off=Sum("coupon_discount"), spent=Sum("bonus_redeemed"),
            accrued=Sum("bonus_accrued"),
        )  # fmt: skip
        assert set(sums.values()) == {D("0.00")}
        assert Bonus.objects.get(member=member).balance == D("180.00")


class TestMakingGood:
    """Restored bonuses first make good what could not be taken back while they were spent."""

    @staticmethod
    def at_level(level):
        return MemberFactory(status_tier=StatusTier.objects.get(level=level))

    @staticmethod
    def buy(member, business, external_id, redeem="0", amount="1000.00"):
        record_purchase(purchase(member, business, external_id, amount, redeem=D(redeem)), at=NOON)

    @staticmethod
    def left_to(member):
        balance = Bonus.objects.get(member=member)
        entries = BonusEntry.objects.filter(member=member, kind="write_off")
        return (
            balance.balance + balance.pending,
            balance.debt,
            -(entries.aggregate(n=Sum("amount"))["n"] or 0),
        )

    def test_what_was_written_off_is_made_good(self, business, shop):
        member = self.at_level(1)  # 3 %, may owe nothing
        self.buy(member, business, "A")
        self.buy(member, shop, "B", "30.00")
        given_up = give_back(business, "RA", "A", "1000.00", at=NOON + days(1))
        assert given_up.explanation["refund"]["written_off"] == "30.00"

        back = give_back(shop, "RB", "B", "1000.00", at=NOON + days(2))

        assert self.left_to(member) == (0, 0, 0)
        assert {name: back.explanation["refund"][name] for name in ("restored", "repaid", "recovered")} == {
            "restored": "30.00", "repaid": "0.00", "recovered": "30.00",
        }  # fmt: skip
        assert entries_of(member)[-3:] == [("restoration", 30), ("reversal", -30), ("write_off", 30)]
        seen = [(item.kind, item.bonus) for item in history(member.pk).items]
        assert seen == [("refund", 0), ("refund", 0), ("purchase", -30), ("purchase", 30)]

    def test_debt_is_repaid(self, business, shop):
        member = self.at_level(2)  # 5 %, may owe 300
        self.buy(member, business, "A")
        self.buy(member, shop, "B", "50.00")
        give_back(business, "RA", "A", "1000.00", at=NOON + days(1))
        assert self.left_to(member) == (0, 50, 0)

        back = give_back(shop, "RB", "B", "1000.00", at=NOON + days(2))

        assert self.left_to(member) == (0, 0, 0)
        assert back.explanation["refund"]["repaid"] == "50.00"
        assert entries_of(member)[-2:] == [("restoration", 50), ("debt_repayment", -50)]

    def test_a_write_off_of_another_lot_is_made_good_and_its_issuer_credited(self, business, shop):
        member, other = self.at_level(1), BusinessFactory()
        self.buy(member, business, "A")
        self.buy(member, shop, "B", "30.00")
        self.buy(member, other, "C")
        # A's refund takes C's bonuses, so C's has nothing to take.
        give_back(business, "RA", "A", "1000.00", at=NOON + days(1))
        give_back(other, "RC", "C", "1000.00", at=NOON + days(2))
        assert self.left_to(member) == (0, 0, 30)

        give_back(shop, "RB", "B", "1000.00", at=NOON + days(3))

        assert self.left_to(member) == (0, 0, 0)
        write_offs = BonusEntry.objects.filter(kind="write_off").order_by("position")
        assert [(entry.amount, entry.lot.issuer) for entry in write_offs] == [(-30, other), (30, other)]

    def test_a_write_off_before_the_spending_stays_let_be(self, business, shop):
        member = self.at_level(1)
        self.buy(member, business, "A")
        self.buy(member, shop, "B", "30.00")
        give_back(business, "RA", "A", "1000.00", at=NOON)
        self.buy(member, business, "C")
        record_purchase(purchase(member, shop, "D", redeem=D(30), purchased_at=NOON), at=NOON)

        give_back(shop, "RD", "D", "1000.00", at=NOON + days(1))

        # As before D was bought: 30 to spend.
        assert self.left_to(member) == (30, 0, 30)
        give_back(business, "RC", "C", "1000.00", at=NOON + days(2))
        give_back(shop, "RB", "B", "1000.00", at=NOON + days(3))
        assert self.left_to(member) == (0, 0, 0)

    def test_the_rest_is_the_members(self, business, shop):
        member = self.at_level(1)
        self.buy(member, business, "A", amount="5000.00")  # 150
        self.buy(member, shop, "B", "100.00")
        give_back(business, "RA", "A", "2000.00", at=NOON + days(1))  # 60: 50 left, 10 written off

        parts = [give_back(shop, f"RB{n}", "B", "500.00", at=NOON + days(2)) for n in range(2)]

        assert [part.explanation["refund"]["recovered"] for part in parts] == ["10.00", "0.00"]
        assert self.left_to(member) == (90, 0, 0)

    def test_all_in_one_call(self, business, shop):
        member = self.at_level(1)
        business.requires_presence_code = False
        requests = [
            purchase(member, business, "A"), purchase(member, shop, "B", redeem=D(30)),
            refund(business, "RA", "A", "1000.00"), refund(shop, "RB", "B", "1000.00"),
        ]  # fmt: skip

        record_many(requests, at=NOON + days(1))

        assert self.left_to(member) == (0, 0, 0)


class TestLines:
    LINES = [{"sku": "a", "amount": "600.00"}, {"sku": "b", "amount": "400.00"}]

    @pytest.fixture
    def bought(self, member, business):
        business.requires_presence_code = False
        give_bonuses(member, business, "200.00")
        bill = purchase(member, business, lines=self.LINES, redeem=D("200.00"))
        return record_purchase(bill, at=NOON)[0]  # earns 3 % of 800.00 = 24.00

    def by_line(self, business, external_id, *lines):
        request = replace(
            refund(business, external_id, "1001", "1.00"),
            amount=None,
            lines=tuple(LineRefund(*line) for line in lines),
        )
        return record_refund(request, at=NOON + days(1))[0]

    def test_a_line_takes_its_own_share(self, member, business, bought):
        back = self.by_line(business, "R", (2,))

        assert (back.amount, back.bonus_redeemed, back.bonus_accrued) == (D(-400), D(-80), D("-9.60"))
        assert back.lines == [
            {"line": 2, "amount": "400.00", "coupon_discount": "0.00", "bonus_redeemed": "80.00",
             "bonus_accrued": "9.60"},
        ]  # fmt: skip
        assert Bonus.objects.get(member=member).balance == D("94.40")

    def test_parts_of_lines_and_amounts_mix_until_nothing_is_left(self, member, business, bought):
        self.by_line(business, "R1", (1, D("100.01")))
        give_back(business, "R2", "1001", "333.33", at=NOON + days(1))
        self.by_line(business, "R3", (1, D("50.00")), (2, D("199.99")))
        give_back(business, "R4", "1001", "316.67", at=NOON + days(1))

        sums = Transaction.objects.aggregate(
            amount=Sum("amount"),
            paid=Sum("amount_paid"),
            spent=Sum("bonus_redeemed"),
            accrued=Sum("bonus_accrued"),
        )
        assert set(sums.values()) == {D("0.00")}
        assert Bonus.objects.get(member=member).balance == D("200.00")

    def test_a_line_is_not_refunded_twice(self, business, bought):
        self.by_line(business, "R1", (1, D("600.00")))

        for line in [(1,), (1, D("0.01"))]:
            with pytest.raises(RefundExceedsPurchase) as refusal:
                self.by_line(business, "R2", line)
            assert (refusal.value.field, refusal.value.details["left"]) == ("lines", "0.00")

    def test_lines_are_not_refunded_beyond_what_amounts_have_left_of_them(self, business, bought):
        give_back(business, "R1", "1001", "700.00", at=NOON)  # 420.00 and 280.00 of the lines

        with pytest.raises(RefundExceedsPurchase) as refusal:
            self.by_line(business, "R2", (2, D("120.01")))
        rest = self.by_line(business, "R2", (2,))

        assert refusal.value.details["left"] == "120.00"
        assert rest.amount == D("-120.00")

    @pytest.mark.parametrize("number", [0, 3])
    def test_a_line_that_is_not_there_is_refused(self, business, bought, number):
        with pytest.raises(InvalidPurchase) as refusal:
            self.by_line(business, "R", (number,))

        assert refusal.value.field == "lines"


# --- Coupon and chain --------------------------------------------------------------------------------


class TestCoupon:
    def bought(self, member, business, coupon, at=NOON):
        record_purchase(purchase(member, business, coupon_code=coupon.code, purchased_at=at), at=at)

    def test_a_full_refund_frees_it_as_it_was(self, member, business):
        coupon = CouponFactory(member=member, business=business)
        self.bought(member, business, coupon)

        give_back(business, "R1", "1001", "999.99", at=NOON + days(1))
        part = Coupon.objects.get().status
        give_back(business, "R2", "1001", "0.01", at=NOON + days(2))

        assert part == "redeemed"
        assert (Coupon.objects.get().status, Coupon.objects.get().valid_until) == (
            "issued",
            coupon.valid_until,
        )

    def test_one_that_ran_out_lives_fourteen_more_days(self, member, business):
        coupon = CouponFactory(member=member, business=business)
        self.bought(member, business, coupon)

        give_back(business, "R", "1001", "1000.00", at=coupon.valid_until)

        freed = Coupon.objects.get()
        assert freed.valid_until == datetime(2026, 7, 13, 21, 0, tzinfo=UTC)  # the end of 13 July
        record_purchase(
            purchase(
                member, business, "again", coupon_code=freed.code, purchased_at=freed.valid_until - days(1)
            ),
            at=freed.valid_until - days(1),
        )
        assert Coupon.objects.get().status == "redeemed"

    def test_the_conversion_of_its_chain_is_undone(self, member, business):
        chain = ChainFactory(source_business=business)
        consent(member)
        record_purchase(purchase(member, business), at=NOON)
        coupon = Coupon.objects.get()
        target = chain.target_business
        record_purchase(purchase(member, target, "target", coupon_code=coupon.code), at=NOON)
        converted = ChainAssignment.objects.get().converted_id

        give_back(target, "R", "target", "1000.00", at=NOON + days(1))

        assert converted == Transaction.objects.get(external_id="target").pk
        assert ChainAssignment.objects.get().converted is None
