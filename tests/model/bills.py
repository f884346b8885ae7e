"""What a bill comes to with offers, as plainly as it can be said: docs/offers.md in fractions.

Shares nothing with the product, as the rest of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP
from decimal import Decimal as D
from fractions import Fraction

ZERO, KOPECK = D("0.00"), D("0.01")
PARTS = ("amount", "discount", "redeemed", "accrued")
CAP = Fraction(50, 100)


def half_up(value: D | Fraction) -> D:
    if isinstance(value, Fraction):
        return D((value * 200 + 1) // 2) / 100
    return value.quantize(KOPECK, ROUND_HALF_UP)


def share(total: D, weights: Sequence[D | Fraction]) -> list[D]:
    """Split by largest remainder, ties to the earlier part."""
    kopecks, whole = int(total * 100), sum(weights)
    exact = [Fraction(w) * kopecks / Fraction(whole) if whole else Fraction(0) for w in weights]
    parts = [int(e) for e in exact]
    order = sorted(range(len(parts)), key=lambda i: (-(exact[i] - parts[i]), i))
    for i in order[: kopecks - sum(parts)]:
        parts[i] += 1
    return [D(p) / 100 for p in parts]


@dataclass
class Offer:
    """An offer in force; `used` are the uses that stand: purchase, member, day, bonuses."""

    business: str
    kind: str
    value: D
    least: D = ZERO
    categories: tuple[str, ...] = ()
    first_purchase: bool = False
    exclusive: bool = False
    priority: int = 0
    number: int = 0
    per_member: int | None = None
    per_day: int | None = None
    most_uses: int | None = None
    budget: D | None = None
    over: bool = False
    used: list[tuple[str, str, date, D, D]] = field(default_factory=list)

    @property
    def given(self) -> D:
        return sum((bonuses for *_, bonuses, _ in self.used), ZERO)

    @property
    def taken_off(self) -> D:
        return sum((discount for *_, discount in self.used), ZERO)

    def exhausted(self, member: str, day: date) -> bool:
        own = [use for use in self.used if use[1] == member]
        return (
            (self.per_member is not None and len(own) >= self.per_member)
            or (self.per_day is not None and len([use for use in own if use[2] == day]) >= self.per_day)
            or (self.most_uses is not None and len(self.used) >= self.most_uses)
            or (self.budget is not None and self.given >= self.budget)
        )


@dataclass
class Sale:
    """Everything a bill's outcome follows from.

    lines     amount, category and whether it earns; a bill without lines is one line
    by_lines  whether the receipt had lines
    coupon    what it gives and how much
    """

    lines: list[tuple[D, str, bool]]
    by_lines: bool
    redeem: D
    percent: D
    cap: D
    gives: bool
    coupon: tuple[str, D] | None

    @property
    def amount(self) -> D:
        return sum((amount for amount, _, _ in self.lines), ZERO)

    def covered(self, offer: Offer) -> list[int] | None:
        """Return the lines that the offer is for; None is the whole bill."""
        if not (offer.categories and self.by_lines):
            return None
        return [n for n, (_, category, _) in enumerate(self.lines) if category in offer.categories]


@dataclass
class Outcome:
    whole: dict[str, D]
    by_line: list[dict[str, D]]
    most: D
    parts: list[tuple[D, D]]


def settle(sale: Sale, offers: Sequence[Offer]) -> Outcome:
    """Return what the sale comes to if these offers apply, named in their order of precedence."""
    gifts = [(*(sale.coupon or ("gift", ZERO)), None)]
    gifts += [(offer.kind, offer.value, sale.covered(offer)) for offer in offers]
    amounts = [amount for amount, _, _ in sale.lines]
    left, offs = list(amounts), [ZERO] * len(gifts)
    for n, (kind, value, lines) in enumerate(gifts):
        if lines is not None:
            offs[n] = min(_off(kind, value, sum(amounts[i] for i in lines)), sum(left[i] for i in lines))
            parts = share(offs[n], [rest if i in lines else ZERO for i, rest in enumerate(left)])
            left = [rest - part for rest, part in zip(left, parts, strict=True)]
    rest = sum(left)
    for n, (kind, value, lines) in enumerate(gifts):
        if lines is None:
            offs[n] = min(_off(kind, value, sale.amount), rest)
            rest -= offs[n]
    payable = [one - part for one, part in zip(left, share(sum(left) - rest, left), strict=True)]
    discount = sum(offs, ZERO)

    redeemed = share(sale.redeem, payable)
    bases = [
        p - r if earns else ZERO for p, r, (_, _, earns) in zip(payable, redeemed, sale.lines, strict=True)
    ]
    nothing = sum((amount for amount, _, earns in sale.lines if not earns), ZERO)
    base = Fraction(max(sale.amount - discount - sale.redeem - nothing, ZERO))
    accrued, bonuses, weights = _bonuses(sale, gifts, base, bases)

    whole = dict(zip(PARTS, (sale.amount, discount, sale.redeem, accrued), strict=True))
    by_line = [
        dict(zip(PARTS, parts, strict=True))
        for parts in zip(
            amounts,
            [one - p for one, p in zip(amounts, payable, strict=True)],
            redeemed,
            share(accrued, weights),
            strict=True,
        )
    ]
    most = ((sale.amount - discount) * sale.cap / 100).quantize(KOPECK, ROUND_DOWN)
    return Outcome(
        whole, by_line if sale.by_lines else [], most, list(zip(bonuses[1:], offs[1:], strict=True))
    )


def _off(kind: str, value: D, amount: D) -> D:
    """Return roubles off: the coupon's `percent` and `fixed` are an offer's `discount_…`."""
    if kind == "off %":
        return half_up(amount * value / 100)
    return value if kind == "off" else ZERO


def _bonuses(
    sale: Sale, gifts: list[tuple[str, D, list[int] | None]], base: Fraction, bases: list[D]
) -> tuple[D, list[D], list[Fraction]]:
    """Return the bonuses in all, what each gift brings of them, and the lines' weights."""
    everywhere, whole = range(len(bases)), Fraction(sum(bases)) or Fraction(1)
    percent = Fraction(sale.percent) if sale.gives else Fraction(0)
    times, more = [Fraction(1)] * len(bases), [Fraction(0)] * len(bases)
    fixed, on_lines, alone = Fraction(0), [Fraction(0)] * len(bases), []
    for kind, value, lines in gifts:
        here = everywhere if lines is None else lines
        covered = Fraction(sum(bases[i] for i in here))
        part, gift = covered / whole, Fraction(value)
        if kind == "times":
            alone.append(base * percent / 100 * (gift - 1) * part)
            for i in here:
                times[i] *= gift
        elif kind == "percent":
            alone.append(base * gift / 100 * part)
            for i in here:
                more[i] += gift
        elif kind == "bonuses" and (lines is None or covered):
            alone.append(gift)
            fixed += gift
            for i in here:
                on_lines[i] += gift * Fraction(bases[i]) / covered if covered else 0
        else:
            alone.append(Fraction(0))
    rates = [percent * t + m for t, m in zip(times, more, strict=True)]
    weights = [base * Fraction(b) * rate / 100 / whole for b, rate in zip(bases, rates, strict=True)]
    # Nothing at all is given where the business gives none.
    accrued = half_up(min(sum(weights, fixed), base * CAP if sale.gives else Fraction(0)))
    extra = max(accrued - half_up(base * percent / 100), ZERO)
    parts = share(extra, alone) if any(alone) else [ZERO] * len(alone)
    if all(lines is None for _, _, lines in gifts):
        return accrued, parts, [Fraction(b) for b in bases]
    return accrued, parts, [w + on for w, on in zip(weights, on_lines, strict=True)]


def choose(sale: Sale, offers: Sequence[Offer]) -> tuple[list[Offer], Outcome]:
    """Return those of the offers that apply, all of which may, and what the sale comes to."""
    left = sorted(offers, key=lambda one: (-one.priority, one.number))
    while True:
        applied = [one for one in left if not one.exclusive]
        best: tuple[D, list[Offer]] | None = None
        for one in left:
            if one.exclusive:
                some = [each for each in left if each is one or not each.exclusive]
                whole = settle(sale, some).whole
                worth = whole["accrued"] + whole["discount"]
                if best is None or worth > best[0]:
                    best = worth, some
        applied = best[1] if best else applied
        outcome = settle(sale, applied)
        gave = list(zip(applied, outcome.parts, strict=True))
        out = [one for one, part in gave if not any(part)]
        if not out:
            short = [one for one, part in gave if one.budget is not None and part[0] > one.budget - one.given]
            out = short[-1:]
        if not out:
            return applied, outcome
        left = [one for one in left if not any(one is gone for gone in out)]
