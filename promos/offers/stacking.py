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

# The lines that an offer is for, counted from 0; None is the whole bill.
Cover = frozenset[int] | None


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
    cover: Cover = None


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
    by_line  weights of the lines, in whose proportion the bonuses lie on them; empty without lines
    """

    bonuses: Decimal
    by_tier: Decimal
    parts: list[Decimal]
    cut: Decimal
    by_line: Sequence[Decimal] = ()


def combine(
    earn_base: Decimal,
    *,
    tier_percent: Decimal,
    effects: Sequence[Effect],
    cap_percent: Decimal | None,
    bases: Sequence[Decimal] = (),
    covers: Sequence[Cover] = (),
) -> Accrual:
    """Return min(base × (tier % × Π multipliers + Σ percents) + Σ fixed, cap % of base), rounded once.

    cap_percent  None is no cap
    bases        of the lines; in their proportion each line has its part of the earn base
    covers       the lines of each effect; empty if each is for the whole bill

    What the effects give beyond the tier's own bonuses is split among them in proportion to what
    each would give alone, to the kopeck; equal remainders go to the earlier effect.
    """
    if any(cover is not None for cover in covers):
        return _combine_by_line(
            earn_base,
            tier_percent=tier_percent,
            effects=list(zip(effects, covers, strict=True)),
            cap_percent=cap_percent,
            bases=bases,
        )
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
    return _accrual(earn_base, by_tier, uncapped, alone, cap_percent=cap_percent, by_line=bases)


def _combine_by_line(
    earn_base: Decimal,
    *,
    tier_percent: Decimal,
    effects: Sequence[tuple[Effect, Cover]],
    cap_percent: Decimal | None,
    bases: Sequence[Decimal],
) -> Accrual:
    """The same where an effect is for some lines: each line has multipliers and percents of its own.

    Divided only once, at the end, so that nothing is rounded before.
    """
    everything = frozenset(range(len(bases)))
    # Where nothing earns the earn base is zero, too.
    whole = sum(bases) or Decimal(1)
    multipliers, percents = [Decimal(1)] * len(bases), [ZERO] * len(bases)
    sums, fixed, alone = [ZERO] * len(bases), ZERO, []
    for effect, cover in effects:
        lines = everything if cover is None else cover
        base = sum((bases[line] for line in lines), ZERO)
        gives = ZERO
        if effect.kind == MULTIPLIER:
            gives = percent_of(earn_base, tier_percent) * (effect.value - 1) * base
            for line in lines:
                multipliers[line] = min(multipliers[line] * effect.value, MAX_PRODUCT)
        elif effect.kind == PERCENT:
            gives = percent_of(earn_base, effect.value) * base
            for line in lines:
                percents[line] += effect.value
        elif effect.kind == FIXED and base:
            gives = effect.value * whole
            fixed += effect.value
            for line in lines:
                sums[line] += effect.value * bases[line] / base
        alone.append(gives)
    weights = [
        base * (tier_percent * times + percent)
        for base, times, percent in zip(bases, multipliers, percents, strict=True)
    ]
    return _accrual(
        earn_base,
        round_half_up(percent_of(earn_base, tier_percent)),
        earn_base * sum(weights) / (whole * 100) + fixed,
        alone,
        cap_percent=cap_percent,
        by_line=[
            earn_base * weight / (whole * 100) + sum_ for weight, sum_ in zip(weights, sums, strict=True)
        ],
    )


def _accrual(
    earn_base: Decimal,
    by_tier: Decimal,
    uncapped: Decimal,
    alone: Sequence[Decimal],
    *,
    cap_percent: Decimal | None,
    by_line: Sequence[Decimal],
) -> Accrual:
    capped = uncapped if cap_percent is None else min(uncapped, percent_of(earn_base, cap_percent))
    bonuses = round_half_up(capped)
    extra = max(bonuses - by_tier, ZERO)
    parts = allocate(extra, alone) if extra and any(alone) else [ZERO] * len(alone)
    return Accrual(bonuses, by_tier, parts, round_half_up(uncapped) - bonuses, by_line)
