"""Random lives of members, step by step beside the plain model of the rules."""

from collections import Counter
from datetime import timedelta
from decimal import ROUND_UP
from decimal import Decimal as D
from time import monotonic

import hypothesis.strategies as st
import pytest
from django.db.transaction import atomic, set_rollback
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from loyalty.models import Referral
from loyalty.selectors import wallet
from loyalty.services.expiry import expire_bonuses
from loyalty.services.tiers import review_tiers
from loyalty.services.verification import verify_ledger
from promos.models import Coupon as StoredCoupon
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest
from promos.services.quotes import cancel_quote, make_quote
from promos.services.replay import replay_purchases
from svoykrug.errors import DomainError
from tests.factories import NOON, BusinessFactory, CouponFactory, MemberFactory
from tests.prove import at_length

from . import stored
from .rules import PARTS, TIERS, ZERO, Bill, Coupon, Member, Quote, Terms, World

pytestmark = pytest.mark.django_db

SEEDS = at_length(briefly=[1], full=[1, 2, 3, 4])
SEQUENCES = at_length(briefly=60, full=600)
# Some sequences end sooner; together they make more than 30 each.
STEPS = 36
REWARDS_A_MONTH = 1

BUSINESSES = {
    "plain": Terms(),
    "waiting": Terms(pending_days=14, cap=D(10), no_earn=("tobacco",)),
    "takes nothing": Terms(takes=False, pending_days=3),
    "gives nothing": Terms(gives=False),
}
# Two newcomers were invited by one member, who may be rewarded once a month.
INVITERS = {"Anna": None, "Boris": "Anna", "Vera": "Anna", "Gleb": None}

kopecks = st.one_of(st.integers(1, 2_000), st.integers(10_000, 300_000), st.integers(300_000, 12_000_000))
money = kopecks.map(lambda number: D(number) / 100)
categories = st.sampled_from(["", "tea", "tobacco"])
times = st.one_of(
    st.integers(0, 20).map(lambda n: timedelta(minutes=n)),
    st.integers(1, 20).map(lambda n: timedelta(days=n)),
    st.sampled_from([timedelta(days=days) for days in (31, 93, 183, 365, 366, 400)]),
)
shares = st.sampled_from([D(1), D(1), D("0.5"), D("0.333"), D("0.01"), D("1.01")])


def part_of(whole, share):
    return max((whole * share).quantize(D("0.01")), D("0.01"))


class Lives(RuleBasedStateMachine):
    """The product and the model live the same lives; after every step they agree."""

    businesses: dict
    happened: Counter
    steps = sequences = 0

    def __init__(self):
        super().__init__()
        type(self).sequences += 1
        self.transaction = atomic()
        self.transaction.__enter__()
        self.world = World(NOON, BUSINESSES, REWARDS_A_MONTH)
        self.ids, self.codes, self.quote_ids, self.number = {}, {}, {}, 0
        for name, inviter in INVITERS.items():
            self.ids[name] = MemberFactory(referred_by_id=self.ids.get(inviter)).pk
            self.world.members[name] = Member(inviter=inviter, invitation="joined" if inviter else "none")
            if inviter:
                Referral.objects.create(
                    inviter_id=self.ids[inviter], newcomer_id=self.ids[name], code="CODE", created_at=NOON
                )

    def teardown(self):
        try:
            self.happened.update(stored.happened(list(self.ids.values())))
            assert [finding for finding in verify_ledger(at=self.world.now) if finding.wrong] == []
            assert [replay.differences for replay in replay_purchases() if replay.differences] == []
        finally:
            self.undo()

    def undo(self):
        set_rollback(True)
        self.transaction.__exit__(None, None, None)

    # --- What both sides do ------------------------------------------------------------------

    def key(self, prefix):
        self.number += 1
        return f"{prefix}{self.number}"

    def request(self, key, bill, quote=None):
        lines = [{"amount": f"{amount:.2f}", "category": category} for amount, category in bill.lines]
        return PurchaseRequest(
            business=self.businesses[bill.business],
            external_id=key,
            member_id=self.ids[bill.member],
            amount=bill.amount,
            category=bill.category,
            lines=lines or None,
            coupon_code=self.codes[bill.coupon] if bill.coupon else None,
            redeem=bill.redeem,
            quote_id=self.quote_ids[quote] if quote else None,
        )

    def refusal(self, call):
        """Return the code of the refusal that the product gives, or None."""
        try:
            with atomic():
                self.answer = call()
        except DomainError as error:
            return error.code
        return None

    def buy(self, key, bill, quote=None):
        request = self.request(key, bill, quote)
        expected = self.world.refusals(bill, quote)
        refused = self.refusal(lambda: record_purchase(request, at=self.world.now))
        assert refused in (expected or {None}), (refused, expected)
        if not expected:
            self.world.buy(key, bill, quote)
            again, created = record_purchase(request, at=self.world.now)
            assert (again.pk, created) == (self.answer[0].pk, False)

    def refund(self, purchase, amount=None, lines=()):
        bill = self.world.purchases[purchase].bill
        request = RefundRequest(
            business=self.businesses[bill.business],
            external_id=self.key("R"),
            refund_of=purchase,
            amount=amount,
            lines=tuple(lines),
        )
        return self.refusal(lambda: record_refund(request, at=self.world.now))

    def draw_bill(self, data):
        member = data.draw(st.sampled_from(list(INVITERS)))
        business = data.draw(st.sampled_from(list(BUSINESSES)))
        lines = data.draw(st.lists(st.tuples(money, categories), max_size=4))
        amount = sum((sum_ for sum_, _ in lines), ZERO) or data.draw(money)
        mine = [None] + [key for key, c in self.world.coupons.items() if c.member == member] * 2
        coupon = data.draw(st.sampled_from(mine))
        if coupon and data.draw(st.integers(0, 9)):
            business = self.world.coupons[coupon].business
        bill = Bill(member, business, amount, lines, data.draw(categories), coupon, ZERO)
        available, (_, _, most) = self.world.available(member), self.world.settle(bill)
        most = min(available, most)
        bill.redeem = data.draw(
            st.sampled_from([ZERO, ZERO, most, most, most / 2, available, most + D("0.01")])
        ).quantize(D("0.01"))
        return bill

    # --- Steps -------------------------------------------------------------------------------

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
            purchase.by_amount = True

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
        whole_left, total = purchase.left["amount"], sum(asked.values())
        if any(asked[index] > left[index] for index in lines) or total > whole_left:
            assert refused == "refund_exceeds_purchase"
            return
        assert refused is None
        row = self.answer[0]
        parts = [-row.amount, -row.coupon_discount, -row.bonus_redeemed, -row.bonus_accrued]
        parts = dict(zip(PARTS, parts, strict=True))
        by_line = self.world.parts_of_lines(key, asked)
        assert parts["amount"] == total
        if not purchase.by_amount:
            assert parts == {name: sum(line[name] for line in by_line) for name in PARTS}
        elif total == whole_left:
            assert parts == purchase.left
        for index, line in zip(asked, by_line, strict=True):
            for name in PARTS:
                purchase.left_lines[index][name] -= line[name]
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

    @initialize(sums=st.lists(st.sampled_from([D(400), D(30_000), D(150_000)]), min_size=2, max_size=4))
    def earlier_purchases(self, sums):
        """Begin with something to spend, to owe and to lose."""
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
            self.world.purchases[key].by_amount = True

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

    # --- Agreement ---------------------------------------------------------------------------

    @invariant()
    def they_agree(self):
        type(self).steps += 1
        stored.check_foreign_keys()
        ids, world = list(self.ids.values()), self.world
        figures = stored.balances(ids)
        for name, pk in self.ids.items():
            member = world.members[name]
            assert figures[pk] == {
                "level": member.level, "holds_until": member.holds_until, "debt": member.debt,
                "written_off": member.written_off,
            }, name  # fmt: skip
        assert {
            key: (accrued, left if until > world.now else ZERO, available_from, until)
            for key, (accrued, left, available_from, until) in stored.lots(ids).items()
        } == {
            (self.ids[name], lot.purchase, lot.kind): (
                lot.accrued,
                lot.left,
                lot.available_from,
                lot.expires_at,
            )
            for name, member in world.members.items()
            for lot in member.lots
        }
        assert stored.purchases(ids) == {
            key: ([p.whole[name] for name in PARTS], [p.left[name] for name in PARTS])
            for key, p in world.purchases.items()
        }
        assert {code: (status, until) for code, status, until in stored.rows(stored.COUPONS, ids)} == {
            self.codes[key]: (
                str(StoredCoupon.Status.REDEEMED if c.redeemed else StoredCoupon.Status.ISSUED), c.until,
            )
            for key, c in world.coupons.items()
        }  # fmt: skip
        # The slowest look; every member in turn.
        turn, now = divmod(self.steps, 5)
        if now:
            return
        name = list(self.ids)[turn % len(self.ids)]
        seen = wallet(self.ids[name], at=world.now)
        assert (seen.available, seen.pending, seen.debt, seen.held) == (
            world.available(name), world.pending(name), world.members[name].debt, world.held(name),
        )  # fmt: skip


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
