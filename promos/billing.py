"""The arithmetic of a bill, with no database: specification, rules.md, Purchase and Refund.

The same function answers a quote, a purchase and a replay, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from promos.models import Benefit
from promos.offers.rules import DISCOUNT_FIXED, DISCOUNT_PERCENT, MULTIPLIER, Effect
from promos.offers.stacking import Part, combine
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
    bill before any other, so their order does not matter.
    """
    discounts = _discounts(bill)
    discount = sum(discounts, ZERO)
    payable = bill.amount - discount
    cap = percent_of(payable, bill.cap_percent).quantize(KOPECK, ROUND_DOWN)
    not_earning = _not_earning(bill)
    earn_base = max(payable - bill.redeem - not_earning, ZERO)
    effects = (_coupon_effect(bill.coupon), *bill.offers)
    accrual = combine(
        earn_base, tier_percent=bill.accrual_percent, effects=effects, cap_percent=bill.accrual_cap_percent
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
        lines=_shares(bill, discount, accrual.bonuses) if bill.lines else [],
    )


def _discounts(bill: Bill) -> list[Decimal]:
    """Return roubles off by the coupon and by each offer; all together never more than the bill."""
    left, discounts = bill.amount, []
    for percent, roubles in (_coupon_discount(bill.coupon), *map(_offer_discount, bill.offers)):
        discount = min(round_half_up(percent_of(bill.amount, percent)) + roubles, left)
        left -= discount
        discounts.append(discount)
    return discounts


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


def _shares(bill: Bill, discount: Decimal, accrued: Decimal) -> list[LineShare]:
    """Split discount, spent and earned bonuses over the lines, in kopecks, by largest remainder."""
    discounts = allocate(discount, [line.amount for line in bill.lines])
    payable = [line.amount - off for line, off in zip(bill.lines, discounts, strict=True)]
    redeemed = allocate(bill.redeem, payable)
    bases = [
        left - spent if line.earns else ZERO
        for line, left, spent in zip(bill.lines, payable, redeemed, strict=True)
    ]
    earned = allocate(accrued, bases)
    return [
        LineShare(line.amount, *parts)
        for line, *parts in zip(bill.lines, discounts, redeemed, earned, strict=True)
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
