"""The arithmetic of a bill, with no database: specification, rules.md, Purchase and Refund.

The same function answers a quote, a purchase and a replay, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from promos.models import Benefit
from promos.offers.rules import DISCOUNT_FIXED, DISCOUNT_PERCENT, MULTIPLIER, Effect
from promos.offers.stacking import Cover, Part, combine
from svoykrug.money import KOPECK, ZERO, allocate, percent_of, round_half_up

NO_EFFECT = Effect("")
NOTHING = Part()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the receipt: roubles for all of it, and whether it earns."""

    amount: Decimal
    earns: bool


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """What a coupon gives: percent off, roubles off, times the bonuses, or a gift."""

    benefit: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything the outcome of a bill follows from.

    accrual_percent  of the tier; 0 where the business gives no bonuses
    cap_percent      share of the bill payable by bonuses; 0 where the business takes none
    redeem           bonuses the member spends
    offers           effects of those that apply
    covers           the lines that each of them is for; empty if each is for the whole bill
    accrual_cap_percent  of the earn base, the most that all bonuses may come to; 0 where the business
                     gives none; None of purchases recorded before there was one
    """

    amount: Decimal
    accrual_percent: Decimal
    cap_percent: Decimal
    redeem: Decimal = ZERO
    coupon: CouponTerms | None = None
    lines: tuple[Line, ...] = ()
    earns: bool = True
    offers: tuple[Effect, ...] = ()
    covers: tuple[Cover, ...] = ()
    accrual_cap_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LineShare:
    """A line's part of the bill in kopecks; the parts of all lines add up to the bill's."""

    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    bonus_accrued: Decimal

    @property
    def amount_paid(self) -> Decimal:
        return self.amount - self.coupon_discount - self.bonus_redeemed


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a bill.

    coupon_discount  roubles off by coupon and offers together
    max_redeemable   bonuses that the rules let the member spend on it, whatever the balance
    by_tier          bonuses that the tier alone brings
    by_coupon        what the coupon gives; by_offers  the same of each offer, in their order
    cut              bonuses that the cap took off; they are in none of the parts
    """

    coupon_discount: Decimal
    max_redeemable: Decimal
    amount_paid: Decimal
    not_earning: Decimal
    earn_base: Decimal
    by_tier: Decimal
    bonus_accrued: Decimal
    by_coupon: Part = NOTHING
    by_offers: Sequence[Part] = ()
    cut: Decimal = ZERO
    lines: list[LineShare] = field(default_factory=list)


def settle(bill: Bill) -> Settled:
    """Return what a bill comes to.

    Earn base = amount − discounts − bonuses spent − lines that earn nothing, never below 0; tier
    percent, multipliers, percents, fixed sums, the cap, then the one rounding. Discounts are of the
    bill before any other, so their order does not matter. An offer for some lines acts on these alone.
    """
    discounts, off_lines = _discounts(bill)
    discount = sum(discounts, ZERO)
    payable = bill.amount - discount
    cap = percent_of(payable, bill.cap_percent).quantize(KOPECK, ROUND_DOWN)
    not_earning = _not_earning(bill)
    earn_base = max(payable - bill.redeem - not_earning, ZERO)
    redeemed, bases = _line_bases(bill, off_lines)
    accrual = combine(
        earn_base,
        tier_percent=bill.accrual_percent,
        effects=(_coupon_effect(bill.coupon), *bill.offers),
        cap_percent=bill.accrual_cap_percent,
        bases=bases,
        covers=_covers(bill),
    )
    by_coupon, *by_offers = map(Part, accrual.parts, discounts)
    return Settled(
        coupon_discount=discount,
        max_redeemable=cap,
        amount_paid=payable - bill.redeem,
        not_earning=not_earning,
        earn_base=earn_base,
        by_tier=accrual.by_tier,
        bonus_accrued=accrual.bonuses,
        by_coupon=by_coupon,
        by_offers=by_offers,
        cut=accrual.cut,
        lines=[
            LineShare(line.amount, *parts)
            for line, *parts in zip(
                bill.lines, off_lines, redeemed, allocate(accrual.bonuses, accrual.by_line), strict=True
            )
        ]
        if bill.lines
        else [],
    )


def _covers(bill: Bill) -> tuple[Cover, ...]:
    """Return the lines of the coupon, which is for the whole bill, and of each offer."""
    return None, *(bill.covers or (None,) * len(bill.offers))


def _discounts(bill: Bill) -> tuple[list[Decimal], list[Decimal]]:
    """Return roubles off by the coupon and by each offer, and all of them by line, if there are lines.

    Those for some lines go first, and never take more than is left of these; then those for the whole
    bill, together never more than is left of it, which are spread over what is left of the lines.
    """
    if bill.coupon is None and not bill.offers:
        return [ZERO], [ZERO] * len(bill.lines)
    asked = list(
        zip(_covers(bill), (_coupon_discount(bill.coupon), *map(_offer_discount, bill.offers)), strict=True)
    )
    discounts = [ZERO] * len(asked)
    left = [line.amount for line in bill.lines]
    for number, (cover, (percent, roubles)) in enumerate(asked):
        if cover is not None:
            amount = sum((bill.lines[line].amount for line in cover), ZERO)
            covered = [rest if line in cover else ZERO for line, rest in enumerate(left)]
            off = min(round_half_up(percent_of(amount, percent)) + roubles, sum(covered, ZERO))
            left = [rest - part for rest, part in zip(left, allocate(off, covered), strict=True)]
            discounts[number] = off
    payable = rest_of_bill = bill.amount - sum(discounts, ZERO)
    for number, (cover, (percent, roubles)) in enumerate(asked):
        if cover is None:
            off = min(round_half_up(percent_of(bill.amount, percent)) + roubles, payable)
            payable -= off
            discounts[number] = off
    if not left:
        return discounts, []
    spread = allocate(rest_of_bill - payable, left)
    return discounts, [
        line.amount - rest + part for line, rest, part in zip(bill.lines, left, spread, strict=True)
    ]


def _coupon_discount(coupon: CouponTerms | None) -> tuple[Decimal, Decimal]:
    """Return per cent and roubles off."""
    if coupon is None:
        return ZERO, ZERO
    return (
        coupon.value if coupon.benefit == Benefit.PERCENT else ZERO,
        coupon.value if coupon.benefit == Benefit.FIXED else ZERO,
    )


def _offer_discount(effect: Effect) -> tuple[Decimal, Decimal]:
    """Return per cent and roubles off."""
    return (
        effect.value if effect.kind == DISCOUNT_PERCENT else ZERO,
        effect.value if effect.kind == DISCOUNT_FIXED else ZERO,
    )


def _coupon_effect(coupon: CouponTerms | None) -> Effect:
    """Return the coupon's effect on the bonuses: a multiplier among the offers'."""
    return (
        NO_EFFECT
        if coupon is None or coupon.benefit != Benefit.MULTIPLIER
        else Effect(MULTIPLIER, coupon.value)
    )


def _not_earning(bill: Bill) -> Decimal:
    if bill.lines:
        return sum((line.amount for line in bill.lines if not line.earns), ZERO)
    return ZERO if bill.earns else bill.amount


def _line_bases(bill: Bill, off_lines: Sequence[Decimal]) -> tuple[list[Decimal], list[Decimal]]:
    """Return bonuses spent on each line, in kopecks, and what is left of the line to earn on."""
    if not bill.lines:
        return [], []
    payable = [line.amount - off for line, off in zip(bill.lines, off_lines, strict=True)]
    redeemed = allocate(bill.redeem, payable)
    return redeemed, [
        left - spent if line.earns else ZERO
        for line, left, spent in zip(bill.lines, payable, redeemed, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Left:
    """What of a purchase, or of one of its lines, is not refunded yet; sums zero or more."""

    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    bonus_accrued: Decimal


NOTHING_LEFT = Left(ZERO, ZERO, ZERO, ZERO)


def refund_parts(left: Left, refunding: Decimal) -> Left:
    """Return the parts that go with a refund of `refunding` roubles, at most what is left.

    Money, discount and spent bonuses add up to the refund; the last refund takes what is left.
    """
    paid = left.amount - left.coupon_discount - left.bonus_redeemed
    if not (left.coupon_discount or left.bonus_redeemed):
        discount = redeemed = ZERO
    else:
        _, discount, redeemed = allocate(refunding, [paid, left.coupon_discount, left.bonus_redeemed])
    accrued = round_half_up(left.bonus_accrued * refunding / left.amount)
    return Left(refunding, discount, redeemed, accrued)


def refund_of_lines(lines: Sequence[tuple[Left, Decimal]]) -> tuple[Left, list[Left]]:
    """Return the parts that go with a refund of lines, in all and by line; the lines add up to the whole.

    lines  what is left of each line, and roubles of it to refund, zero or more
    """
    parts = [refund_parts(left, refunding) if refunding else NOTHING_LEFT for left, refunding in lines]
    return Left(
        amount=sum((part.amount for part in parts), ZERO),
        coupon_discount=sum((part.coupon_discount for part in parts), ZERO),
        bonus_redeemed=sum((part.bonus_redeemed for part in parts), ZERO),
        bonus_accrued=sum((part.bonus_accrued for part in parts), ZERO),
    ), parts


def refund_over_lines(lines: Sequence[Left], refunding: Decimal) -> tuple[Left, list[Left]]:
    """Return the same of a refund by amount: it takes from every line by what is left of the line.

    So the lines always say what is left of the purchase, however amounts and lines are mixed.
    """
    shares = allocate(refunding, [left.amount for left in lines])
    return refund_of_lines(list(zip(lines, shares, strict=True)))


def line_json(share: LineShare) -> dict[str, Any]:
    """Return a line's part as it is stored and answered."""
    return {
        "amount": f"{share.amount:.2f}",
        "coupon_discount": f"{share.coupon_discount:.2f}",
        "bonus_redeemed": f"{share.bonus_redeemed:.2f}",
        "amount_paid": f"{share.amount_paid:.2f}",
        "bonus_accrued": f"{share.bonus_accrued:.2f}",
    }
