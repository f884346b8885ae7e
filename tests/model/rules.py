"""The rules of the programme once more, as plainly as they can be said: dicts, lists and Decimals.

Written from the specification and sharing nothing with the product, so that a mistake would have to
be made twice. Everything happens now: time only moves forward, and what has lapsed is closed at once.
"""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

from .bills import PARTS, ZERO, Offer, Outcome, Sale, choose, half_up, share

MOSCOW = ZoneInfo("Europe/Moscow")
# level: threshold, accrual %, share payable by bonuses %, overdraft
TIERS = {
    1: (D(0), D(3), D(20), D(0)),
    2: (D(30_000), D(5), D(30), D(300)),
    3: (D(100_000), D(7), D(40), D(1_000)),
    4: (D(300_000), D(10), D(50), D(3_000)),
}
YEAR = timedelta(days=365)
HOLD = timedelta(minutes=15)
REFERRAL_LEAST, NEWCOMER_GETS, INVITER_GETS, REFERRAL_WAIT = D(500), D(150), D(300), timedelta(days=14)


def end_of_day(moment: datetime, days: int) -> datetime:
    day = moment.astimezone(MOSCOW).date() + timedelta(days=days + 1)
    return datetime.combine(day, time(), MOSCOW)


def end_of_month_in_a_year(moment: datetime) -> datetime:
    local = moment.astimezone(MOSCOW)
    years, month = divmod(local.month, 12)
    return datetime(local.year + 1 + years, month + 1, 1, tzinfo=MOSCOW)


@dataclass
class Terms:
    """A business: what it agreed with the programme."""

    pending_days: int = 0
    gives: bool = True
    takes: bool = True
    cap: D | None = None
    no_earn: tuple[str, ...] = ()


@dataclass
class Lot:
    purchase: str
    kind: str
    accrued: D
    left: D
    available_from: datetime
    expires_at: datetime
    number: int


@dataclass
class Coupon:
    member: str
    business: str
    benefit: str
    value: D
    least: D
    until: datetime
    redeemed: bool = False


@dataclass
class Member:
    level: int = 1
    holds_until: datetime | None = None
    debt: D = ZERO
    # What could not be taken back and nothing has made good: when (in purchases and refunds), how much.
    let_be: list[tuple[int, D]] = field(default_factory=list)
    lots: list[Lot] = field(default_factory=list)
    paid: list[tuple[datetime, D]] = field(default_factory=list)
    # Who invited; how far the invitation is; the purchase that rewarded it.
    inviter: str | None = None
    invitation: str = "none"
    rewarded_by: str = ""
    rewards: list[datetime] = field(default_factory=list)

    def by_expiry(self) -> list[Lot]:
        return sorted((lot for lot in self.lots if lot.left), key=lambda lot: (lot.expires_at, lot.number))

    @property
    def written_off(self) -> D:
        return sum((amount for _, amount in self.let_be), ZERO)

    def turnover(self, now: datetime) -> D:
        return sum((sum_ for at, sum_ in self.paid if now - YEAR < at <= now), ZERO)


@dataclass
class Bill:
    member: str
    business: str
    amount: D
    lines: list[tuple[D, str]]
    category: str
    coupon: str | None
    redeem: D


@dataclass
class Purchase:
    bill: Bill
    at: datetime
    whole: dict[str, D]
    lines: list[dict[str, D]]
    left: dict[str, D]
    left_lines: list[dict[str, D]]
    spent: list[tuple[Lot, D]]
    number: int
    lapsed: D = ZERO
    by_line: bool = False


@dataclass
class Quote:
    bill: Bill
    promised: dict[str, D]
    until: datetime
    holds: bool
    over: bool = False


class World:
    def __init__(self, now: datetime, businesses: dict[str, Terms], rewards_a_month: int) -> None:
        self.now, self.businesses, self.rewards_a_month = now, businesses, rewards_a_month
        self.members: dict[str, Member] = {}
        self.purchases: dict[str, Purchase] = {}
        self.coupons: dict[str, Coupon] = {}
        self.offers: dict[str, Offer] = {}
        self.quotes: dict[str, Quote] = {}
        self.parked: dict[str, list[D]] = {}
        self.lots_opened = self.happened = 0

    # --- Time --------------------------------------------------------------------------------

    def pass_time(self, by: timedelta) -> None:
        self.now += by
        for member in self.members.values():
            for lot in member.lots:
                if lot.left and lot.expires_at <= self.now:
                    if lot.kind == "purchase":
                        self.purchases[lot.purchase].lapsed += lot.left
                    lot.left = ZERO

    def review(self) -> None:
        for member in self.members.values():
            if member.holds_until and member.holds_until <= self.now:
                member.level -= member.turnover(self.now) < TIERS[member.level][0]
                member.holds_until = end_of_month_in_a_year(self.now) if member.level > 1 else None

    # --- Looking -----------------------------------------------------------------------------

    def live(self, name: str) -> list[Lot]:
        return [lot for lot in self.members[name].by_expiry() if lot.available_from <= self.now]

    def held(self, name: str, but: str | None = None) -> D:
        quotes = [
            q for key, q in self.quotes.items()
            if q.bill.member == name and q.holds and not q.over and q.until > self.now and key != but
        ]  # fmt: skip
        return sum((quote.bill.redeem for quote in quotes), ZERO)

    def available(self, name: str, but: str | None = None) -> D:
        return max(sum((lot.left for lot in self.live(name)), ZERO) - self.held(name, but), ZERO)

    def pending(self, name: str) -> D:
        lots = self.members[name].lots
        return sum((lot.left for lot in lots if lot.available_from > self.now), ZERO)

    # --- Purchase ----------------------------------------------------------------------------

    def has_sold(self, business: str, categories: tuple[str, ...]) -> bool:
        """Whether some purchase here, or a line of one, was ever of each of these categories."""
        sold = [p.bill for p in self.purchases.values() if p.bill.business == business]
        known = {bill.category for bill in sold} | {name for bill in sold for _, name in bill.lines}
        return {*categories} <= known

    def live_offers(self, bill: Bill) -> list[Offer]:
        """Return the offers whose conditions and limits let this bill use them."""
        day = self.now.astimezone(MOSCOW).date()
        came = any(
            (p.bill.member, p.bill.business) == (bill.member, bill.business) for p in self.purchases.values()
        )
        categories = {category or bill.category for _, category in bill.lines} or {bill.category}
        return [
            offer
            for offer in self.offers.values()
            if offer.business == bill.business
            and not offer.over
            and bill.amount >= offer.least
            and (not offer.categories or categories & {*offer.categories})
            and not (offer.first_purchase and came)
            and not offer.exhausted(bill.member, day)
        ]

    def decide(self, bill: Bill) -> tuple[list[Offer], Outcome]:
        """Return the offers that apply to the bill, and what it comes to."""
        terms, (_, percent, cap, _) = self.businesses[bill.business], TIERS[self.members[bill.member].level]
        if terms.cap is not None:
            cap = min(cap, terms.cap)
        gives = None
        if bill.coupon:
            coupon = self.coupons[bill.coupon]
            gives = {"percent": "off %", "fixed": "off", "multiplier": "times"}[coupon.benefit], coupon.value
        lines = [(amount, category or bill.category) for amount, category in bill.lines]
        sale = Sale(
            [
                (amount, one, one not in terms.no_earn)
                for amount, one in lines or [(bill.amount, bill.category)]
            ],
            bool(bill.lines),
            bill.redeem,
            percent,
            cap if terms.takes else ZERO,
            terms.gives,
            gives,
        )
        return choose(sale, self.live_offers(bill))

    def settle(self, bill: Bill) -> tuple[dict[str, D], list[dict[str, D]], D]:
        """Return what the bill comes to, the same by line, and the most that bonuses may pay of it."""
        _, outcome = self.decide(bill)
        return outcome.whole, outcome.by_line, outcome.most

    def refusals(self, bill: Bill, quote: str | None = None) -> set[str]:
        """Return every reason to refuse the bill; none means that it goes through."""
        reasons = set()
        if bill.coupon:
            coupon = self.coupons[bill.coupon]
            kept = any(
                q.holds
                and not q.over
                and q.until > self.now
                and q.bill.coupon == bill.coupon
                and key != quote
                for key, q in self.quotes.items()
            )
            if (
                (coupon.member, coupon.business) != (bill.member, bill.business)
                or coupon.redeemed
                or kept
                or self.now >= coupon.until
                or bill.amount < coupon.least
            ):
                reasons.add("coupon_not_redeemable")
        whole, _, most = self.settle(bill)
        if bill.redeem > self.available(bill.member, but=quote):
            reasons.add("insufficient_bonus")
        if bill.redeem > most:
            reasons.add("redemption_limit_exceeded")
        if quote and (self.quotes[quote].over or self.quotes[quote].promised != whole):
            reasons.add("quote_changed")
        return reasons

    def buy(self, key: str, bill: Bill, quote: str | None = None) -> None:
        member, terms = self.members[bill.member], self.businesses[bill.business]
        applied, outcome = self.decide(bill)
        whole, by_line = outcome.whole, outcome.by_line
        day = self.now.astimezone(MOSCOW).date()
        for offer, part in zip(applied, outcome.parts, strict=True):
            offer.used.append((key, bill.member, day, *part))
        spent, still = [], bill.redeem
        for lot in self.live(bill.member):
            part = min(lot.left, still)
            if part:
                lot.left -= part
                still -= part
                spent.append((lot, part))
        assert not still
        self.happened += 1
        self.purchases[key] = Purchase(
            bill, self.now, whole, by_line, dict(whole), [dict(line) for line in by_line], spent,
            self.happened,
        )  # fmt: skip
        self.accrue(bill.member, key, "purchase", whole["accrued"], timedelta(days=terms.pending_days))
        if bill.coupon:
            self.coupons[bill.coupon].redeemed = True
        if quote:
            self.quotes[quote].over = True
        paid = whole["amount"] - whole["discount"] - whole["redeemed"]
        member.paid.append((self.now, paid))
        reached = max(
            level for level, tier in TIERS.items() if tier[0] <= max(member.turnover(self.now), ZERO)
        )
        if paid and reached > member.level:
            member.level, member.holds_until = reached, end_of_month_in_a_year(self.now)
        self.reward(bill.member, key, bill.amount)
        for amount in self.parked.pop(key, []):
            self.refund(key, self.parts_of_amount(key, amount))

    def accrue(self, name: str, purchase: str, kind: str, amount: D, wait: timedelta) -> None:
        if not amount:
            return
        member = self.members[name]
        repaid = min(member.debt, amount)
        member.debt -= repaid
        self.lots_opened += 1
        member.lots.append(
            Lot(
                purchase, kind, amount, amount - repaid, self.now + wait, end_of_day(self.now, 365),
                self.lots_opened,
            )
        )  # fmt: skip

    def reward(self, name: str, purchase: str, amount: D) -> None:
        newcomer = self.members[name]
        if newcomer.invitation != "joined" or amount < REFERRAL_LEAST:
            return
        assert newcomer.inviter
        inviter = self.members[newcomer.inviter]
        month = self.now.astimezone(MOSCOW).strftime("%Y-%m")
        earlier = [at for at in inviter.rewards if at.astimezone(MOSCOW).strftime("%Y-%m") == month]
        if len(earlier) >= self.rewards_a_month:
            newcomer.invitation = "refused"
            return
        newcomer.invitation, newcomer.rewarded_by = "rewarded", purchase
        inviter.rewards.append(self.now)
        self.accrue(name, purchase, "referral", NEWCOMER_GETS, REFERRAL_WAIT)
        self.accrue(newcomer.inviter, purchase, "referral", INVITER_GETS, REFERRAL_WAIT)

    # --- Refund ------------------------------------------------------------------------------

    @staticmethod
    def pro_rata(left: dict[str, D], amount: D) -> dict[str, D]:
        """Return the parts of what is left that go with a refund of `amount`; the last takes all."""
        paid = left["amount"] - left["discount"] - left["redeemed"]
        _, discount, redeemed = share(amount, [paid, left["discount"], left["redeemed"]])
        accrued = half_up(left["accrued"] * amount / left["amount"])
        return {"amount": amount, "discount": discount, "redeemed": redeemed, "accrued": accrued}

    def parts_of_amount(self, key: str, amount: D) -> dict[str, D]:
        purchase = self.purchases[key]
        if not purchase.left_lines:
            return self.pro_rata(purchase.left, amount)
        sums = share(amount, [line["amount"] for line in purchase.left_lines])
        return self.parts_of_lines(key, {index: sum_ for index, sum_ in enumerate(sums) if sum_})

    def parts_of_lines(self, key: str, asked: dict[int, D]) -> dict[str, D]:
        """Take from the lines what goes with their refund; return it in all."""
        whole = dict.fromkeys(PARTS, ZERO)
        for index, amount in asked.items():
            line = self.purchases[key].left_lines[index]
            part = self.pro_rata(line, amount)
            for name in PARTS:
                line[name] -= part[name]
                whole[name] += part[name]
        return whole

    def refund(self, key: str, parts: dict[str, D]) -> None:
        purchase = self.purchases[key]
        member = self.members[purchase.bill.member]
        self.happened += 1
        for name in PARTS:
            purchase.left[name] -= parts[name]
            assert purchase.left[name] >= 0, name
        member.paid.append((self.now, -(parts["amount"] - parts["discount"] - parts["redeemed"])))
        self.restore(purchase, parts["redeemed"])
        own = [lot for lot in member.lots if (lot.purchase, lot.kind) == (key, "purchase")]
        purchase.lapsed -= self.take_back(member, own, parts["accrued"], purchase.lapsed)
        self.void(key, purchase)
        if not purchase.left["amount"]:
            for offer in self.offers.values():
                offer.used = [use for use in offer.used if use[0] != key]
        if not purchase.left["amount"] and purchase.bill.coupon:
            coupon = self.coupons[purchase.bill.coupon]
            coupon.redeemed = False
            if coupon.until <= self.now:
                coupon.until = end_of_day(self.now, 14)

    def restore(self, purchase: Purchase, amount: D) -> None:
        while amount:
            lot, spent = purchase.spent.pop()
            part = min(spent, amount)
            amount -= part
            if spent > part:
                purchase.spent.append((lot, spent - part))
            lot.left += part
            if lot.expires_at <= self.now:
                lot.expires_at = end_of_day(self.now, 14)
            self.make_good(self.members[purchase.bill.member], lot, part, purchase.number)

    @staticmethod
    def make_good(member: Member, lot: Lot, amount: D, since: int) -> None:
        """Let what has come back first pay what was let be while it was spent, then the debt."""
        still = []
        for when, missing in member.let_be:
            paid = min(amount, missing) if when > since else ZERO
            amount -= paid
            lot.left -= paid
            if missing > paid:
                still.append((when, missing - paid))
        member.let_be = still
        paid = min(amount, member.debt)
        lot.left -= paid
        member.debt -= paid

    def take_back(self, member: Member, own: list[Lot], amount: D, lapsed: D) -> D:
        """Take bonuses back: own lots, what lapsed of them, other lots, debt, write-off.

        Returns how much of `lapsed` was counted.
        """

        def take(lots: list[Lot]) -> None:
            nonlocal amount
            for lot in lots:
                part = min(lot.left, amount)
                lot.left -= part
                amount -= part

        take(own)
        counted = min(amount, lapsed)
        amount -= counted
        take([lot for lot in member.by_expiry() if lot not in own])
        debt = min(amount, max(TIERS[member.level][3] - member.debt, ZERO))
        member.debt += debt
        if amount > debt:
            member.let_be.append((self.happened, amount - debt))
        return counted

    def void(self, key: str, purchase: Purchase) -> None:
        newcomer = self.members[purchase.bill.member]
        if newcomer.invitation != "rewarded" or newcomer.rewarded_by != key:
            return
        if purchase.left["amount"] >= REFERRAL_LEAST or self.now >= purchase.at + REFERRAL_WAIT:
            return
        assert newcomer.inviter
        newcomer.invitation = "voided"
        for member in (newcomer, self.members[newcomer.inviter]):
            lot = next(lot for lot in member.lots if (lot.purchase, lot.kind) == (key, "referral"))
            self.take_back(member, [lot], lot.accrued, ZERO)
