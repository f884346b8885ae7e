"""What a draft would have given: its rule over purchases that were really made.

The rule is run in the database over stored facts (the tier's percent, the earn base and the coupon
of each purchase stand in its explanation), for a till's settlement of half a million bills one by
one would take minutes. The arithmetic is that of `promos.billing.settle`, and a test holds the two
together: the same purchases recorded with the offer published come to the same numbers.

Rule: specification, rules.md, Offers.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.transaction import atomic
from django.utils import timezone

from svoykrug.money import KOPECK, ZERO, round_half_up

from .decision import Limits
from .rules import Rule
from .simulation_sql import (
    COVERED,
    IN_ORDER,
    LINES,
    LOOKED_AT,
    SUMMED,
    TOUCHED,
    conditions_sql,
    effect_sql,
)

PERIODS_DAYS = (30, 90, 365)
ROWS_AT_ONCE = 20_000
NO_LIMITS = Limits()
FIRST_MONDAY = date(2000, 1, 3)


@dataclass(slots=True)
class Sums:
    """Purchases touched, members touched, bonuses beyond those of the tier, roubles of discount.

    members  0 where nobody asks, as of a week
    """

    purchases: int = 0
    members: int = 0
    bonuses: Decimal = ZERO
    discount: Decimal = ZERO

    def add(self, purchases: int, bonuses: Decimal, discount: Decimal) -> None:
        self.purchases += purchases
        self.bonuses += bonuses
        self.discount += discount


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the offer would have done in the local days [first_day, last_day].

    looked_at  all purchases of the business in that time, and who made them
    weeks      by their Monday, those without a purchase too; tiers  by level
    price      roubles that one bonus costs the business
    """

    first_day: date
    last_day: date
    looked_at: int
    buyers: int
    total: Sums
    weeks: dict[date, Sums]
    tiers: dict[int, Sums]
    price: Decimal

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1

    @property
    def cost_rub(self) -> Decimal:
        return self.cost_of(self.total)

    def cost_of(self, sums: Sums) -> Decimal:
        """Bonuses at the business's price of a bonus, and the discount."""
        return round_half_up(sums.bonuses * self.price) + sums.discount


@dataclass(slots=True)
class _Tally:
    weeks: dict[date, Sums] = field(default_factory=lambda: defaultdict(Sums))
    tiers: dict[int, Sums] = field(default_factory=lambda: defaultdict(Sums))
    members: int = 0


def simulate(
    rule: Rule,
    *,
    business_id: UUID,
    price: Decimal,
    at: datetime,
    days: int,
    limits: Limits = NO_LIMITS,
) -> Simulation:
    """Return what the rule would have given over the business's purchases of the last `days` local days.

    price   roubles of one bonus
    limits  as the offer's, counted from nothing

    The rule's dates are not asked: they lie in the future. Reads one snapshot and changes nothing.
    """
    last_day = timezone.localdate(at)
    first_day = last_day - timedelta(days=days - 1)
    zone = timezone.get_default_timezone()
    params: dict[str, Any] = {
        "business": business_id,
        "since": datetime.combine(first_day, time(), zone),
        "until": at,
        "zone": settings.TIME_ZONE,
        "cap": settings.OFFER_CAP_PERCENT,
        "value": rule.effect.value,
    }
    conditions = conditions_sql(rule.conditions, params)
    bonuses, discount, parts, counts = effect_sql(rule)
    by_line = bool(rule.conditions.categories)
    given = TOUCHED.format(
        conditions=conditions,
        bonuses=bonuses,
        discount=discount,
        parts=parts,
        lines=LINES if by_line else "",
        covered=COVERED if by_line else "",
    )
    with atomic(), connection.cursor() as cursor:
        # A year's purchases are sorted in memory.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(LOOKED_AT, params)
        looked_at, buyers = cursor.fetchone()
        if limits.of_member or limits.of_all:
            cursor.execute(given + IN_ORDER.format(counts=counts), params)
            tally = _within(limits, iter(lambda: cursor.fetchmany(ROWS_AT_ONCE), []))
        else:
            cursor.execute(given + SUMMED.format(counts=counts), params)
            tally = _summed(cursor.fetchall())
    total = Sums(members=tally.members)
    for sums in tally.weeks.values():
        total.add(sums.purchases, sums.bonuses, sums.discount)
    monday = first_day - timedelta(days=first_day.weekday())
    mondays = [monday + timedelta(weeks=n) for n in range((last_day - monday).days // 7 + 1)]
    return Simulation(
        first_day=first_day,
        last_day=last_day,
        looked_at=looked_at,
        buyers=buyers,
        total=total,
        weeks={week: tally.weeks.get(week, Sums()) for week in mondays},
        tiers=dict(sorted(tally.tiers.items())),
        price=price,
    )


def _summed(rows: Iterable[tuple[Any, ...]]) -> _Tally:
    tally = _Tally()
    for week, tier, count, bonuses, discount in rows:
        if week is not None:
            tally.weeks[week].add(count, bonuses, discount)
            tally.tiers[tier].add(count, bonuses, discount)
        elif tier is not None:
            tally.tiers[tier].members = count
        else:
            tally.members = count
    return tally


def _within(limits: Limits, pages: Iterable[list[tuple[Any, ...]]]) -> _Tally:
    """Let the purchases use the offer one after another, as the checkout does, until a limit says no.

    Counts kopecks: half a million decimals would take as long again.
    """
    per_member, per_day, most_uses = limits.per_member, limits.per_member_day, limits.total_uses
    left = None if limits.total_bonuses is None else int(limits.total_bonuses * 100)
    by_member: dict[str, int] = defaultdict(int)
    by_day: dict[tuple[str, int], int] = defaultdict(int)
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    members: dict[int, set[str]] = defaultdict(set)
    uses = 0
    for page in pages:
        for member, day, tier, bonuses, discount in page:
            if left is not None and (left <= 0 or bonuses > left):
                continue
            if per_member is not None and by_member[member] >= per_member:
                continue
            if per_day is not None and by_day[member, day] >= per_day:
                continue
            if per_member is not None:
                by_member[member] += 1
            if per_day is not None:
                by_day[member, day] += 1
            if left is not None and bonuses > 0:
                left -= bonuses
            sum_ = sums[day // 7, tier]
            sum_[0] += 1
            sum_[1] += bonuses
            sum_[2] += discount
            members[tier].add(member)
            uses += 1
            if uses == most_uses:
                break
        if uses == most_uses or left == 0:
            break
    tally = _Tally(members=len(set().union(*members.values())))
    for (week, tier), (count, bonuses, discount) in sums.items():
        for part in (tally.weeks[FIRST_MONDAY + timedelta(weeks=week)], tally.tiers[tier]):
            part.add(count, bonuses * KOPECK, discount * KOPECK)
    for tier, those in members.items():
        tally.tiers[tier].members = len(those)
    return tally
