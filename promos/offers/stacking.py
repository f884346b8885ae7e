"""What several offers come to together: specification, rules.md, Offers, Stacking.

Nothing here depends on the order in which the offers are named.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from svoykrug.money import ZERO, allocate, percent_of, round_half_up

from .rules import COUPON, FIXED, MULTIPLIER, PERCENT, Effect


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer whose conditions hold.

    exclusive     of these only the best for the member applies; the others apply together
    priority      the higher goes first where two are equally good; then the older, by created_at
    bonuses_left  of its budget; None is without end
    """

    id: UUID
    effect: Effect
    exclusive: bool
    priority: int
    created_at: datetime
    bonuses_left: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one offer gives a bill: bonuses, and roubles of discount."""

    bonuses: Decimal = ZERO
    discount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Sums:
    """A bill with some offers: bonuses and discount in all, and what each offer gave of them."""

    bonuses: Decimal
    discount: Decimal
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Choice:
    """applied, in the order of precedence; refused  why each of the others gives nothing."""

    applied: list[Candidate]
    refused: dict[UUID, str] = field(default_factory=dict)


# Any cap is far below it; without an end a hundred doublings would outgrow what Decimal can round.
MAX_PRODUCT = Decimal(10**6)
# Settles the bill with these offers; parts come back in their order.
Settle = Callable[[Sequence[Candidate]], Sums]


def choose(candidates: Collection[Candidate], settle: Settle) -> Choice:
    """Return which of the offers apply: all that stack, and of the exclusive ones the best.

    Best is the most bonuses and roubles of discount for the member, all told; then priority; then age.
    An offer that would give nothing, or more than its budget has left, does not apply.
    """
    left = sorted(candidates, key=precedence)
    refused: dict[UUID, str] = {}
    while left:
        applied = _with_best_exclusive(left, settle)
        out = _refused(applied, settle)
        if not out:
            chosen = {one.id for one in applied}
            beaten = {one.id: BEATEN for one in left if one.id not in chosen}
            return Choice(applied, refused | beaten)
        refused |= out
        left = [one for one in left if one.id not in out]
    return Choice([], refused)


BEATEN = "exclusive: another offer gives more"


def precedence(one: Candidate) -> tuple[int, datetime, UUID]:
    return -one.priority, one.created_at, one.id


def _with_best_exclusive(left: Sequence[Candidate], settle: Settle) -> list[Candidate]:
    exclusive = [one for one in left if one.exclusive]
    if len(exclusive) < 2:
        return list(left)

    def worth(best: Candidate) -> Decimal:
        sums = settle([one for one in left if one is best or not one.exclusive])
        return sums.bonuses + sums.discount

    # The first of the equally good ones wins, and they stand in the order of precedence.
    best = max(exclusive, key=worth)
    return [one for one in left if one is best or not one.exclusive]


def _refused(applied: Sequence[Candidate], settle: Settle) -> dict[UUID, str]:
    """Return those that give nothing; if each gives something, the last one whose budget is short.

    One at a time: without it the others may give less, or a budget may suffice.
    """
    given = list(zip(applied, settle(applied).parts, strict=True))
    nothing = [
        one.id for one, part in given if one.effect.kind != COUPON and not (part.bonuses or part.discount)
    ]
    if nothing:
        return dict.fromkeys(nothing, "effect: nothing to give on this bill")
    for one, part in reversed(given):
        if one.bonuses_left is not None and part.bonuses > one.bonuses_left:
            return {one.id: f"budget: {part.bonuses:.2f} needed, {one.bonuses_left:.2f} left"}
    return {}


@dataclass(frozen=True, slots=True)
class Accrual:
    """Bonuses of a bill in all, and what each effect gave of them.

    by_tier  what the tier alone would bring
    cut      bonuses that the cap took off
    """

    bonuses: Decimal
    by_tier: Decimal
    parts: list[Decimal]
    cut: Decimal


def combine(
    earn_base: Decimal,
    *,
    tier_percent: Decimal,
    effects: Sequence[Effect],
    cap_percent: Decimal | None,
) -> Accrual:
    """Return min(base × (tier % × Π multipliers + Σ percents) + Σ fixed, cap % of base), rounded once.

    cap_percent  None is no cap

    What the effects give beyond the tier's own bonuses is split among them in proportion to what
    each would give alone, to the kopeck; equal remainders go to the earlier effect.
    """
    unit = percent_of(earn_base, tier_percent)
    by_tier = round_half_up(unit)
    multiplier, percents, fixed = Decimal(1), ZERO, ZERO
    alone = []
    for effect in effects:
        if effect.kind == MULTIPLIER:
            multiplier = min(multiplier * effect.value, MAX_PRODUCT)
            alone.append(unit * (effect.value - 1))
        elif effect.kind == PERCENT:
            percents += effect.value
            alone.append(percent_of(earn_base, effect.value))
        elif effect.kind == FIXED:
            fixed += effect.value
            alone.append(effect.value)
        else:
            alone.append(ZERO)
    uncapped = percent_of(earn_base, tier_percent * multiplier + percents) + fixed
    capped = uncapped if cap_percent is None else min(uncapped, percent_of(earn_base, cap_percent))
    bonuses = round_half_up(capped)
    extra = max(bonuses - by_tier, ZERO)
    parts = allocate(extra, alone) if extra and any(alone) else [ZERO] * len(alone)
    return Accrual(bonuses, by_tier, parts, round_half_up(uncapped) - bonuses)
