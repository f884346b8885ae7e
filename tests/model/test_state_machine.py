"""Random lives of members, step by step beside the plain model of the rules."""

from collections import Counter
from datetime import timedelta
from decimal import ROUND_UP
from decimal import Decimal as D
from time import monotonic

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from loyalty.services.expiry import expire_bonuses
from loyalty.services.tiers import review_tiers
from promos.services.checkout import record_refund
from promos.services.offers import Terms, end, publish, save_draft
from promos.services.purchases import LineRefund, RefundRequest
from promos.services.quotes import cancel_quote, make_quote
from tests.factories import BusinessFactory, CouponFactory
from tests.prove import at_length

from . import stored
from .bills import ZERO, Offer
from .lives import BUSINESSES, INVITERS, REWARDS_A_MONTH, Life, part_of, shares, times
from .rules import TIERS, Bill, Coupon, Quote

pytestmark = pytest.mark.django_db

SEEDS = at_length(briefly=[1], full=[1, 2, 3, 4])
SEQUENCES = at_length(briefly=40, full=600)
# Some sequences end sooner; together they make more than 30 each.
STEPS = 36
# In the model's words, how much, in the product's.
EFFECTS = [
    ("times", D(2), "multiplier"), ("times", D("1.37"), "multiplier"), ("percent", D("7.5"), "percent"),
    ("bonuses", D(50), "fixed"), ("bonuses", D("3.33"), "fixed"), ("off %", D("12.5"), "discount_percent"),
    ("off", D("99.99"), "discount_fixed"),
]  # fmt: skip
LIMITS = [
    {}, {}, {"per_member_limit": 2}, {"per_member_day_limit": 1}, {"total_uses_limit": 2},
    {"total_bonus_limit": D("120.00")}, {"per_member_limit": 3, "total_bonus_limit": D("40.50")},
]  # fmt: skip
MOST_OFFERS = 6


class Lives(Life):
    """The steps that random lives are made of."""

    @rule(data=st.data())
    def purchase(self, data):
        self.buy(self.key("P"), self.draw_bill(data))

    @rule(data=st.data(), spend=st.booleans())
    def large_purchase(self, data, spend):
        member = data.draw(st.sampled_from(list(INVITERS)))
        bill = Bill(member, "plain", D(data.draw(st.integers(500, 120_000))), [], "", None, ZERO)
        if spend:
            bill.redeem = min(self.world.available(member), self.world.settle(bill)[2])
        self.buy(self.key("P"), bill)

    @rule(member=st.sampled_from(list(INVITERS)), business=st.sampled_from(["plain", "gives nothing"]))
    def spend_everything(self, member, business):
        available, (_, _, share, _) = self.world.available(member), TIERS[self.world.members[member].level]
        if available:
            amount = (available * 100 / share).quantize(D("0.01"), ROUND_UP)
            self.buy(self.key("P"), Bill(member, business, amount, [], "", None, available))

    @rule(by=times)
    def time_passes(self, by):
        self.world.pass_time(by)

    @rule(data=st.data(), hold=st.booleans())
    def quote(self, data, hold):
        bill = self.draw_bill(data)
        expected = self.world.refusals(bill)
        refused = self.refusal(lambda: make_quote(self.request(None, bill), hold=hold, at=self.world.now))
        assert refused in (expected or {None}), (refused, expected)
        if not expected:
            key, (whole, _, most) = self.key("Q"), self.world.settle(bill)
            assert self.answer.max_redeemable == min(most, self.world.available(bill.member))
            self.quote_ids[key] = self.answer.quote.pk
            self.world.quotes[key] = Quote(bill, whole, self.world.now + timedelta(minutes=15), hold)

    @precondition(lambda self: self.world.quotes)
    @rule(data=st.data())
    def commit(self, data):
        key = data.draw(st.sampled_from(list(self.world.quotes)))
        self.buy(self.key("P"), self.world.quotes[key].bill, key)

    @precondition(lambda self: self.world.quotes)
    @rule(data=st.data())
    def cancel(self, data):
        key = data.draw(st.sampled_from(list(self.world.quotes)))
        quote = self.world.quotes[key]
        cancel_quote(self.quote_ids[key], business=self.businesses[quote.bill.business], at=self.world.now)
        quote.over = True

    @rule(
        member=st.sampled_from(list(INVITERS)),
        business=st.sampled_from(list(BUSINESSES)),
        benefit=st.sampled_from(
            [("percent", D(20)), ("percent", D("33.33")), ("fixed", D("99.99")), ("multiplier", D("2.5"))]
        ),
        least=st.sampled_from([D(0), D(100)]),
    )
    def coupon(self, member, business, benefit, least):
        key, until = self.key("C"), self.world.now + timedelta(days=14)
        row = CouponFactory(
            member_id=self.ids[member], member=None, business=self.businesses[business], benefit=benefit[0],
            benefit_value=benefit[1], min_amount=least, valid_from=self.world.now, valid_until=until,
        )  # fmt: skip
        self.codes[key] = row.code
        self.world.coupons[key] = Coupon(member, business, *benefit, least, until)

    @rule(data=st.data(), business=st.sampled_from(list(BUSINESSES)), what=st.sampled_from(EFFECTS))
    def offer_comes(self, data, business, what):
        self.publish_offer(data, business, what)

    def publish_offer(self, data, business, what):
        if sum(not offer.over for offer in self.world.offers.values()) >= MOST_OFFERS:
            return
        kind, value, effect = what
        limits = data.draw(st.sampled_from(LIMITS))
        if effect.startswith("discount"):
            limits = {name: limit for name, limit in limits.items() if name != "total_bonus_limit"}
        title, number = self.key("O"), self.number
        offer = Offer(
            business, kind, value, number=number,
            least=data.draw(st.sampled_from([ZERO, ZERO, D("100.00")])),
            categories=data.draw(st.sampled_from([(), (), ("tea",), ("tea", "tobacco")])),
            first_purchase=data.draw(st.sampled_from([False, False, True])),
            exclusive=data.draw(st.booleans()),
            priority=data.draw(st.sampled_from([0, 0, 5])),
            per_member=limits.get("per_member_limit"),
            per_day=limits.get("per_member_day_limit"),
            most_uses=limits.get("total_uses_limit"),
            budget=limits.get("total_bonus_limit"),
        )  # fmt: skip
        conditions = {}
        if offer.least:
            conditions["min_amount"] = f"{offer.least:.2f}"
        if offer.categories:
            conditions["categories"] = list(offer.categories)
        if offer.first_purchase:
            conditions["first_purchase"] = True
        terms = Terms(
            title, conditions, {"kind": effect, "value": f"{value:f}"},
            stacking="exclusive" if offer.exclusive else "stackable", priority=offer.priority, **limits,
        )  # fmt: skip
        shop = self.businesses[business]
        refused = self.refusal(lambda: save_draft(terms, business=shop))
        assert (refused is not None) == (not self.world.has_sold(business, offer.categories))
        if not refused:
            self.offer_ids[title] = publish(self.answer.pk, business=shop, at=self.world.now).pk
            self.world.offers[title] = offer

    @precondition(lambda self: self.world.offers)
    @rule(data=st.data())
    def end_offer(self, data):
        title = data.draw(st.sampled_from(list(self.world.offers)))
        offer = self.world.offers[title]
        end(self.offer_ids[title], business=self.businesses[offer.business])
        offer.over = True

    @precondition(lambda self: self.world.purchases)
    @rule(data=st.data(), share=shares)
    def refund_by_amount(self, data, share):
        key = data.draw(st.sampled_from(list(self.world.purchases)))
        purchase = self.world.purchases[key]
        amount = part_of(purchase.left["amount"], share)
        refused = self.refund(key, amount)
        if amount > purchase.left["amount"]:
            assert refused == "refund_exceeds_purchase"
        else:
            assert refused is None
            self.world.refund(key, self.world.parts_of_amount(key, amount))

    @precondition(lambda self: any(p.lines for p in self.world.purchases.values()))
    @rule(data=st.data(), share=shares)
    def refund_by_line(self, data, share):
        key = data.draw(st.sampled_from([key for key, p in self.world.purchases.items() if p.lines]))
        purchase = self.world.purchases[key]
        lines = data.draw(st.sets(st.integers(0, len(purchase.lines) - 1), min_size=1))
        left = {index: purchase.left_lines[index]["amount"] for index in sorted(lines)}
        asked = {index: part_of(amount, share) for index, amount in left.items()}
        wanted = [
            LineRefund(index + 1, None if asked[index] == left[index] and data.draw(st.booleans()) else sum_)
            for index, sum_ in asked.items()
        ]
        refused = self.refund(key, lines=wanted)
        if any(asked[index] > left[index] for index in lines):
            assert refused == "refund_exceeds_purchase"
            return
        assert refused is None
        row = self.answer[0]
        parts = self.world.parts_of_lines(key, asked)
        assert parts == {
            "amount": -row.amount,
            "discount": -row.coupon_discount,
            "redeemed": -row.bonus_redeemed,
            "accrued": -row.bonus_accrued,
        }
        self.world.refund(key, parts)

    @rule(data=st.data(), share=shares)
    def refund_before_its_purchase(self, data, share):
        bill, key = self.draw_bill(data), self.key("P")
        if self.world.refusals(bill):
            return
        amount = min(part_of(bill.amount, share), bill.amount)
        request = RefundRequest(
            business=self.businesses[bill.business], external_id=self.key("R"), refund_of=key, amount=amount,
            member_id=self.ids[bill.member],
        )  # fmt: skip
        assert record_refund(request, at=self.world.now) == (None, True)
        assert stored.rows(stored.PARKED, list(self.ids.values())) == [(1,)]
        self.world.parked[key] = [amount]
        self.buy(key, bill)
        assert stored.rows(stored.PARKED, list(self.ids.values())) == [(0,)]

    @initialize(
        data=st.data(),
        sums=st.lists(st.sampled_from([D(400), D(30_000), D(150_000)]), min_size=2, max_size=4),
        offers=st.lists(
            st.tuples(st.sampled_from(["plain", "waiting"]), st.sampled_from(EFFECTS)), max_size=5
        ),
    )
    def earlier_purchases(self, data, sums, offers):
        """Begin with something to spend, to owe and to lose, and with offers."""
        for business, what in offers:
            self.publish_offer(data, business, what)
        for number, sum_ in enumerate(sums):
            member = ["Anna", "Gleb"][number % 2]
            self.buy(self.key("P"), Bill(member, "plain", sum_, [], "", None, ZERO))
            self.world.pass_time(timedelta(days=4))

    @precondition(lambda self: self.world.purchases)
    @rule(data=st.data(), share=shares)
    def spend_and_give_back(self, data, share):
        """Refund a purchase whose bonuses are gone: other lots, debt and write-off follow."""
        key = data.draw(st.sampled_from([key for key, p in self.world.purchases.items()]))
        self.spend_everything(self.world.purchases[key].bill.member, "gives nothing")
        amount = part_of(self.world.purchases[key].left["amount"], share)
        if amount <= self.world.purchases[key].left["amount"]:
            assert self.refund(key, amount) is None
            self.world.refund(key, self.world.parts_of_amount(key, amount))

    @rule(data=st.data(), off=st.sampled_from([timedelta(0), timedelta(0), timedelta(seconds=1)]))
    def moment_comes(self, data, off):
        """Go to the very moment when something begins or ends, or a second beyond it."""
        world = self.world
        lots = [lot for member in world.members.values() for lot in member.lots]
        moments = {
            *(lot.expires_at for lot in lots),
            *(lot.available_from for lot in lots),
            *(coupon.until for coupon in world.coupons.values()),
            *(quote.until for quote in world.quotes.values()),
            *(member.holds_until for member in world.members.values() if member.holds_until),
            *(bought.at + timedelta(days=365) for bought in world.purchases.values()),
        }
        if coming := sorted(moment for moment in moments if moment > world.now):
            world.pass_time(data.draw(st.sampled_from(coming)) - world.now + off)

    @rule()
    def nightly_expiry(self):
        expire_bonuses(at=self.world.now)
        lots = stored.lots(list(self.ids.values())).values()
        assert not [lot for lot in lots if lot[1] and lot[3] <= self.world.now]
        assert expire_bonuses(at=self.world.now) == 0

    @rule()
    def monthly_review(self):
        review_tiers(at=self.world.now)
        self.world.review()


@pytest.mark.parametrize("number", SEEDS)
def test_members_live_by_the_rules(number, settings_of_programme, proved):
    class Seeded(Lives):
        businesses = settings_of_programme
        happened = Counter()

    began = monotonic()
    run_state_machine_as_test(
        seed(number)(Seeded),
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        ),
    )
    proved(
        f"seed {number}: {Seeded.sequences} sequences, {Seeded.steps} steps in {monotonic() - began:.0f} s; "
        + ", ".join(f"{name} {count}" for name, count in sorted(Seeded.happened.items()))
    )


@pytest.fixture
def settings_of_programme(settings):
    """The businesses of the model, stored; their tills need no presence code."""
    settings.REFERRAL_MONTHLY_LIMIT = REWARDS_A_MONTH
    return {
        name: BusinessFactory(
            requires_presence_code=False, pending_days=terms.pending_days, can_accrue=terms.gives,
            can_redeem=terms.takes, redemption_cap_percent=terms.cap, no_earn_categories=list(terms.no_earn),
        )
        for name, terms in BUSINESSES.items()
    }  # fmt: skip
