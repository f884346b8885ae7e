"""Whether a rule holds for a purchase, and if it can hold for any."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from .rules import Conditions, Hours, Rule
from .stacking import Cover

A_WEEK = 7
FAR = 366


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a purchase and its member; what no rule asks for may be left out.

    at        when it happened, aware, in programme time
    amount    roubles before any discount; category  as the till names the purchase's
    lines     the category of each line of the receipt; empty if it has none
    segment   of the latest snapshot; None if the member is in none
    returning the member bought here before
    attended  events to which the member came
    birthday  days to the nearest one, or more as long as no rule can tell: tills read what follows
              from it, and are not to learn the day; None if it is not known
    """

    at: datetime
    amount: Decimal
    category: str
    tier: int
    segment: str | None = None
    returning: bool = False
    birthday: int | None = None
    attended: frozenset[UUID] = frozenset()
    lines: tuple[str, ...] = ()


def covered(asked: Conditions, facts: Facts) -> Cover:
    """Return the lines of the receipt that the categories name; None is the whole bill."""
    if not (asked.categories and facts.lines):
        return None
    return frozenset(line for line, category in enumerate(facts.lines) if category in asked.categories)


def first_failing(rule: Rule, facts: Facts) -> str | None:
    """Return the first condition that fails, as `min_amount: 500.00 needed, 420.00 given`, or None."""
    return first_failing_of_bill(rule, facts) or first_failing_of_member(rule, facts)


def first_failing_of_bill(rule: Rule, facts: Facts) -> str | None:
    """The same, of the conditions that the bill alone decides: no need to know the member."""
    asked = rule.conditions
    if asked.starts and facts.at < asked.starts:
        return _needed("from", f"{_local(asked.starts, facts):%Y-%m-%d %H:%M}", f"{facts.at:%Y-%m-%d %H:%M}")
    if asked.ends and facts.at >= asked.ends:
        return _needed("until", f"{_local(asked.ends, facts):%Y-%m-%d %H:%M}", f"{facts.at:%Y-%m-%d %H:%M}")
    if asked.weekdays and facts.at.isoweekday() not in asked.weekdays:
        return _needed("weekday", ", ".join(map(str, asked.weekdays)), str(facts.at.isoweekday()))
    if asked.hours and not asked.hours.hold(facts.at.time()):
        hours = f"{asked.hours.since:%H:%M}–{asked.hours.until:%H:%M}"
        return _needed("hours", hours, f"{facts.at:%H:%M}")
    if asked.min_amount is not None and facts.amount < asked.min_amount:
        return _needed("min_amount", f"{asked.min_amount:.2f}", f"{facts.amount:.2f}")
    if asked.categories:
        # Of a receipt with lines its lines decide, and the offer acts on these alone: see `covered`.
        given = dict.fromkeys(facts.lines or (facts.category,))
        if not any(category in asked.categories for category in given):
            return _needed(
                "category", ", ".join(asked.categories), ", ".join(category or "none" for category in given)
            )
    return None


def first_failing_of_member(rule: Rule, facts: Facts) -> str | None:
    """The same, of the conditions that ask about the member."""
    asked = rule.conditions
    if asked.tiers and facts.tier not in asked.tiers:
        return _needed("tier", ", ".join(map(str, asked.tiers)), str(facts.tier))
    if asked.segments and facts.segment not in asked.segments:
        return _needed("segment", ", ".join(asked.segments), facts.segment or "none")
    if asked.first_purchase and facts.returning:
        return "first_purchase: the member has bought here before"
    if asked.birthday_days is not None:
        if facts.birthday is None:
            return "birthday: the member's birthday is not known"
        if facts.birthday > asked.birthday_days:
            return f"birthday: {asked.birthday_days} days around it needed"
    if asked.attended_event and asked.attended_event not in facts.attended:
        return "attended_event: the member did not come to the event"
    return None


def _needed(name: str, needed: str, given: str) -> str:
    return f"{name}: {needed} needed, {given} given"


def _local(moment: datetime, facts: Facts) -> datetime:
    return moment.astimezone(facts.at.tzinfo)


def days_to_birthday(born: date, day: date) -> int:
    """Return the days to the nearest birthday, past or coming; of 29 February, 1 March in a common year."""
    return min(abs((_birthday(born, year) - day).days) for year in (day.year - 1, day.year, day.year + 1))


def blurred_birthday(born: date | None, day: date, rules: Iterable[Rule]) -> int | None:
    """Return the days to the nearest birthday, rounded up to what some rule asks for; see `Facts`."""
    if born is None:
        return None
    away = days_to_birthday(born, day)
    asked = {rule.conditions.birthday_days for rule in rules} - {None}
    return min((days for days in asked if days is not None and away <= days), default=FAR)


def _birthday(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def warnings(rule: Rule, *, at: datetime) -> list[str]:
    """Return why the rule can never hold from now on; such an offer may be kept, but brings nothing.

    at  now, in programme time
    """
    asked = rule.conditions
    if asked.ends and asked.ends <= at:
        return [_("The offer is over: its last day has passed.")]
    starts = max(asked.starts, at) if asked.starts else at
    if asked.ends and not _any_moment(asked, starts.astimezone(at.tzinfo), asked.ends.astimezone(at.tzinfo)):
        return [_("Its weekdays and hours never fall between its first and its last day.")]
    return []


def _any_moment(asked: Conditions, starts: datetime, ends: datetime) -> bool:
    """Whether an allowed hour of an allowed weekday lies in [starts, ends)."""
    # After a week every weekday has come; one more for the part of the first day that is over.
    days = min((ends.date() - starts.date()).days, A_WEEK)
    for number in range(days + 1):
        day = starts.date() + timedelta(days=number)
        if asked.weekdays and day.isoweekday() not in asked.weekdays:
            continue
        for since, until in _spans(asked.hours, day, starts):
            if max(since, starts) < min(until, ends):
                return True
    return False


def _spans(hours: Hours | None, day: date, near: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the allowed spans of one local day."""
    midnight, next_midnight = (
        datetime.combine(day + timedelta(days=more), time(), near.tzinfo) for more in (0, 1)
    )
    if hours is None:
        yield midnight, next_midnight
        return
    since, until = (datetime.combine(day, moment, near.tzinfo) for moment in (hours.since, hours.until))
    if since < until:
        yield since, until
    else:
        yield midnight, until
        yield since, next_midnight
