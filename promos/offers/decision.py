"""Which of a business's offers a purchase meets: one decision for checkout, quote, replay, simulation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from promos.billing import NOTHING, Bill, Settled, settle
from svoykrug.money import ZERO

from .facts import Facts, covered, first_failing
from .rules import Rule
from .stacking import Candidate, Cover, Part, Sums, choose


@dataclass(frozen=True, slots=True)
class Limits:
    """None is without a limit; total_bonuses is the budget."""

    per_member: int | None = None
    per_member_day: int | None = None
    total_uses: int | None = None
    total_bonuses: Decimal | None = None

    @property
    def of_member(self) -> bool:
        return self.per_member is not None or self.per_member_day is not None

    @property
    def of_all(self) -> bool:
        return self.total_uses is not None or self.total_bonuses is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """How far the limits are used up before the purchase; what no limit asks for is 0."""

    by_member: int = 0
    by_member_today: int = 0
    uses: int = 0
    bonuses: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Offer:
    """A frozen version of an offer."""

    id: UUID
    version: int
    title: str
    rule: Rule
    exclusive: bool
    priority: int
    created_at: datetime
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one offer: it applied, or `reason` is the first condition that failed.

    cover  the lines that it is for, if it applied
    """

    offer: Offer
    usage: Usage
    reason: str | None
    part: Part = NOTHING
    cover: Cover = None

    @property
    def applied(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Decision:
    """The bill with the offers that apply, what it comes to, and what came of each offer.

    `looked` stands in the order of precedence; facts are None where there was no offer to look at.
    """

    bill: Bill
    settled: Settled
    looked: Sequence[Looked] = ()
    facts: Facts | None = None


NO_USAGE = Usage()


def decide(
    bill: Bill, facts: Facts, offers: Collection[Offer], usage: Mapping[UUID, Usage] | None = None
) -> Decision:
    """Settle a bill with those of the offers that apply.

    bill   without offers
    usage  by offer; of one that is missing nothing is used
    """
    usage = usage or {}
    reasons: dict[UUID, str | None] = {}
    candidates = []
    for offer in offers:
        used = usage.get(offer.id, NO_USAGE)
        reason = first_failing(offer.rule, facts) or _exhausted(offer.limits, used)
        reasons[offer.id] = reason
        if reason is None:
            candidates.append(_candidate(offer, used, facts))
    if not candidates:
        settled, parts, covers = settle(bill), {}, {}
    else:
        choice = choose(candidates, lambda some: _sums(settle(_with(bill, some))))
        reasons |= choice.refused
        bill = _with(bill, choice.applied)
        settled = settle(bill)
        parts = {one.id: part for one, part in zip(choice.applied, settled.by_offers, strict=True)}
        covers = {one.id: one.cover for one in choice.applied}
    looked = [
        Looked(
            offer,
            usage.get(offer.id, NO_USAGE),
            reasons[offer.id],
            parts.get(offer.id, NOTHING),
            covers.get(offer.id),
        )
        for offer in sorted(offers, key=lambda one: (-one.priority, one.created_at, one.id))
    ]
    return Decision(bill, settled, looked, facts)


def _exhausted(limits: Limits, used: Usage) -> str | None:
    """Return which limit lets no further use, or None."""
    if limits.per_member is not None and used.by_member >= limits.per_member:
        return f"per_member: all {limits.per_member} used"
    if limits.per_member_day is not None and used.by_member_today >= limits.per_member_day:
        return f"per_member_day: all {limits.per_member_day} of the day used"
    if limits.total_uses is not None and used.uses >= limits.total_uses:
        return f"total_uses: all {limits.total_uses} used"
    if limits.total_bonuses is not None and used.bonuses >= limits.total_bonuses:
        return f"budget: all {limits.total_bonuses:.2f} given"
    return None


def _candidate(offer: Offer, used: Usage, facts: Facts) -> Candidate:
    budget = offer.limits.total_bonuses
    return Candidate(
        offer.id,
        offer.rule.effect,
        exclusive=offer.exclusive,
        priority=offer.priority,
        created_at=offer.created_at,
        bonuses_left=None if budget is None else budget - used.bonuses,
        cover=covered(offer.rule.conditions, facts),
    )


def _with(bill: Bill, candidates: Sequence[Candidate]) -> Bill:
    return replace(
        bill,
        offers=tuple(one.effect for one in candidates),
        covers=tuple(one.cover for one in candidates),
    )


def _sums(settled: Settled) -> Sums:
    return Sums(settled.bonus_accrued, settled.coupon_discount, settled.by_offers)
