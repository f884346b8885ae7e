"""A life of some members, led by the product and by the plain model at once."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal as D

import hypothesis.strategies as st
from django.db.transaction import atomic, set_rollback
from hypothesis.stateful import RuleBasedStateMachine, invariant

from loyalty.models import Referral
from loyalty.selectors import wallet
from loyalty.services.verification import verify_ledger
from promos.models import Coupon as StoredCoupon
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import PurchaseRequest, RefundRequest
from promos.services.replay import replay_purchases
from svoykrug.errors import DomainError
from tests.factories import NOON, MemberFactory

from . import stored
from .bills import PARTS, ZERO
from .rules import Bill, Member, Terms, World

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


class Life(RuleBasedStateMachine):
    """The product and the model beside each other: what both do, and that they agree after every step."""

    businesses: dict
    happened: Counter
    steps = sequences = 0

    def __init__(self):
        super().__init__()
        type(self).sequences += 1
        self.transaction = atomic()
        self.transaction.__enter__()
        self.world = World(NOON, BUSINESSES, REWARDS_A_MONTH)
        self.ids, self.codes, self.quote_ids, self.offer_ids, self.number = {}, {}, {}, {}, 0
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
            used = [offer for offer in self.world.offers.values() if any(use[0] == key for use in offer.used)]
            self.happened.update(f"offer {offer.kind}" for offer in used)

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
        assert stored.offers() == {
            title: (len(offer.used), offer.given, offer.taken_off) for title, offer in world.offers.items()
        }
        for offer in world.offers.values():
            assert offer.budget is None or offer.given <= offer.budget
        # The slowest look; every member in turn.
        turn, now = divmod(self.steps, 5)
        if now:
            return
        name = list(self.ids)[turn % len(self.ids)]
        seen = wallet(self.ids[name], at=world.now)
        assert (seen.available, seen.pending, seen.debt, seen.held) == (
            world.available(name), world.pending(name), world.members[name].debt, world.held(name),
        )  # fmt: skip
