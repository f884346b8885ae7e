"""What an offer says: conditions and one effect, read from the JSON of its owner.

Specification: rules.md, Offers. `parse` is the only way in, so a `Rule` is always sound; `to_json`
is the only way out, so what is stored is spelt in one way.
"""

from collections.abc import Collection, Container
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from promos.segments import Segment
from svoykrug.errors import DomainError

from .fields import Faults, Reader

MULTIPLIER, PERCENT, FIXED = "multiplier", "percent", "fixed"
DISCOUNT_PERCENT, DISCOUNT_FIXED, COUPON = "discount_percent", "discount_fixed", "coupon"
KINDS = (MULTIPLIER, PERCENT, FIXED, DISCOUNT_PERCENT, DISCOUNT_FIXED, COUPON)
# Of bonuses: what a limit of bonuses in all can count.
GIVES_BONUSES = (MULTIPLIER, PERCENT, FIXED)
GIFT = "gift"
BENEFITS = (PERCENT, FIXED, MULTIPLIER, GIFT)

TIERS = (1, 2, 3, 4)
WEEKDAYS = (1, 2, 3, 4, 5, 6, 7)
SEGMENTS = tuple(Segment.values)

MAX_MULTIPLIER = Decimal(20)
MAX_SUM = Decimal(1_000_000)
MAX_BIRTHDAY_DAYS = 180
MAX_VALID_DAYS = 365
MAX_CATEGORIES = 50
MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day in programme time, `since` inclusive; they cross midnight if `until` is earlier."""

    since: time
    until: time

    def hold(self, moment: time) -> bool:
        if self.since < self.until:
            return self.since <= moment < self.until
        return moment >= self.since or moment < self.until


@dataclass(frozen=True, slots=True)
class Conditions:
    """All of these must hold; None or empty is not asked.

    starts inclusive, ends exclusive · weekdays Monday is 1, of the purchase itself · min_amount
    roubles of the bill before any discount · categories as the till names the purchase's, or those of
    its lines: then the effect is on these lines only ·
    birthday_days before and after · attended_event came to that event
    """

    starts: datetime | None = None
    ends: datetime | None = None
    weekdays: tuple[int, ...] = ()
    hours: Hours | None = None
    min_amount: Decimal | None = None
    categories: tuple[str, ...] = ()
    tiers: tuple[int, ...] = ()
    segments: tuple[str, ...] = ()
    first_purchase: bool = False
    birthday_days: int | None = None
    attended_event: UUID | None = None


@dataclass(frozen=True, slots=True)
class NextCoupon:
    """A coupon for the next visit to the same business.

    value  per cent, roubles or multiplier; 0 of a gift, which `text` names
    """

    benefit: str
    value: Decimal
    text: str
    min_amount: Decimal
    valid_days: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What an offer gives: `kind` is one of KINDS.

    value  multiplier of the tier's percent, per cent of the earn base, bonuses, per cent or roubles
           of the bill; 0 of a coupon, whose terms are in `coupon`
    """

    kind: str
    value: Decimal = Decimal(0)
    coupon: NextCoupon | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    conditions: Conditions
    effect: Effect


class RuleFaults(DomainError):
    """The JSON is no rule. `faults` are (path, message), e.g. ("conditions.hours.until", "…")."""

    code = "invalid"

    def __init__(self, faults: Collection[tuple[str, str]]) -> None:
        self.faults = list(faults)
        path, message = self.faults[0]
        words: dict[str, str] = {}
        for where, what in self.faults:
            words[where] = f"{words[where]} {what}" if where in words else what
        super().__init__(message, field=path, fields=words)


def parse(conditions: Any, effect: Any, *, categories: Container[str] | None = None) -> Rule:
    """Return the rule that the two objects say. Raises RuleFaults, naming every fault at once.

    categories  those ever seen at the business; None leaves them unchecked
    """
    faults = Faults()
    rule = Rule(_conditions(Reader(conditions, "conditions", faults), categories),
                _effect(Reader(effect, "effect", faults)))  # fmt: skip
    if faults.found:
        raise RuleFaults(faults.found)
    return rule


def _conditions(given: Reader, known: Container[str] | None) -> Conditions:
    starts, ends = given.moment("from"), given.moment("until")
    if starts and ends and ends <= starts:
        given.fault("until", _("The offer would end before it begins."))
    return given.done(
        Conditions(
            starts=starts,
            ends=ends,
            weekdays=given.choices("weekdays", WEEKDAYS),
            hours=_hours(given.object("hours")),
            min_amount=given.number("min_amount", above=Decimal(0), most=MAX_SUM),
            categories=_categories(given, known),
            tiers=given.choices("tiers", TIERS),
            segments=given.choices("segments", SEGMENTS),
            first_purchase=given.flag("first_purchase"),
            birthday_days=given.integer("birthday_days", least=0, most=MAX_BIRTHDAY_DAYS),
            attended_event=given.key("attended_event"),
        )
    )


def _hours(given: Reader | None) -> Hours | None:
    if given is None:
        return None
    since, until = given.clock("from"), given.clock("until")
    if since is not None and since == until:
        given.fault("until", _("The hours begin and end at the same time."))
    return given.done(Hours(since, until) if since is not None and until is not None else None)


def _categories(given: Reader, known: Container[str] | None) -> tuple[str, ...]:
    named = given.texts("categories", most=MAX_CATEGORIES)
    if known is not None:
        for number, category in enumerate(named):
            if category not in known:
                given.fault(
                    f"categories.{number}",
                    _("No purchase here was ever of the category “%(category)s”.") % {"category": category},
                )
    return named


def _effect(given: Reader) -> Effect:
    kind = given.choice("kind", KINDS)
    if kind == COUPON:
        coupon = _coupon(given)
        return given.done(Effect(COUPON, coupon=coupon), rest_unknown=bool(coupon.benefit))
    value = (
        _value(given, "fixed" if kind == DISCOUNT_FIXED else kind.removeprefix("discount_")) if kind else None
    )
    return given.done(Effect(kind, value or Decimal(0)), rest_unknown=bool(kind))


def _coupon(given: Reader) -> NextCoupon:
    benefit = given.choice("benefit", BENEFITS)
    text = given.text("text", most=MAX_TEXT)
    value = Decimal(0)
    if benefit == GIFT:
        given.number("value", above=Decimal(-1), most=Decimal(0))
        if not text:
            given.fault("text", _("Say what the gift is."))
    elif benefit:
        value = _value(given, benefit) or value
        if text:
            given.fault("text", _("Only a gift is named by a text."))
    least = given.number("min_amount", above=Decimal(-1), most=MAX_SUM)
    days = given.integer("valid_days", least=1, most=MAX_VALID_DAYS, required=True)
    return NextCoupon(benefit, value, text, least or Decimal(0), days or 0)


def _value(given: Reader, unit: str) -> Decimal | None:
    if unit == MULTIPLIER:
        return given.number("value", above=Decimal(1), most=MAX_MULTIPLIER, required=True)
    most = Decimal(100) if unit == PERCENT else MAX_SUM
    return given.number("value", above=Decimal(0), most=most, required=True)


def to_json(rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return conditions and effect as they are stored; `parse` gives the same rule back."""
    asked = rule.conditions
    conditions = {
        "from": asked.starts and asked.starts.isoformat(),
        "until": asked.ends and asked.ends.isoformat(),
        "weekdays": list(asked.weekdays),
        "hours": asked.hours
        and {"from": f"{asked.hours.since:%H:%M}", "until": f"{asked.hours.until:%H:%M}"},
        "min_amount": asked.min_amount and f"{asked.min_amount:.2f}",
        "categories": list(asked.categories),
        "tiers": list(asked.tiers),
        "segments": list(asked.segments),
        "first_purchase": asked.first_purchase,
        "birthday_days": asked.birthday_days,
        "attended_event": asked.attended_event and str(asked.attended_event),
    }
    # Nought days around the birthday is the day itself; whatever else is empty is not asked.
    kept = {name: value for name, value in conditions.items() if value or (value == 0 and value is not False)}
    coupon = rule.effect.coupon
    if coupon is None:
        return kept, {"kind": rule.effect.kind, "value": plain(rule.effect.value)}
    return kept, {
        "kind": COUPON,
        "benefit": coupon.benefit,
        "value": plain(coupon.value),
        "text": coupon.text,
        "min_amount": f"{coupon.min_amount:.2f}",
        "valid_days": coupon.valid_days,
    }


def plain(value: Decimal) -> str:
    """Return a number without trailing noughts: 2, 2.5."""
    return f"{value.normalize():f}"
