"""A rule in plain words, for its owner, for members and for whoever reads the API.

The words of a date are those of the programme's time zone.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext, pgettext

from loyalty.templatetags.money import bonus_words, grouped, percent, rub
from promos.segments import Segment

from .rules import (
    DISCOUNT_FIXED,
    DISCOUNT_PERCENT,
    FIXED,
    GIFT,
    MULTIPLIER,
    PERCENT,
    TIERS,
    WEEKDAYS,
    Conditions,
    Effect,
    Hours,
    NextCoupon,
    Rule,
)

WORKDAYS, WEEKEND = (1, 2, 3, 4, 5), (6, 7)


@dataclass(frozen=True, slots=True)
class Badge:
    """An effect in a few characters, and the colour it is shown in."""

    text: str
    tone: str


def sentence(rule: Rule, *, for_staff: bool = False, event: str = "", dates: bool = True) -> str:
    """Return the whole rule: “On weekdays 14–17, for tiers 2 and up: bonuses ×2”.

    for_staff  name the RFM segments; a member only learns that the offer is for some
    event      title of the event whose guests it asks for, where it is known
    dates      whether to say from when and till when
    """
    parts = _dates(rule.conditions) if dates else []
    parts += condition_words(rule.conditions, for_staff=for_staff, event=event)
    words = {"when": ", ".join(parts), "gives": effect_words(rule.effect)}
    if not parts:
        return gettext("On every purchase: %(gives)s") % words
    return capfirst(pgettext("offer", "%(when)s: %(gives)s") % words)


def condition_words(asked: Conditions, *, for_staff: bool = False, event: str = "") -> list[str]:
    """Return what must hold, each condition on its own; dates apart."""
    parts = [" ".join(filter(None, [_weekdays(asked.weekdays), _hours(asked.hours)]))]
    if asked.first_purchase:
        parts.append(gettext("on the first purchase here"))
    if asked.min_amount is not None:
        parts.append(pgettext("offer", "on a bill of %(sum)s or more") % {"sum": rub(asked.min_amount)})
    if asked.categories:
        parts.append(gettext("for purchases of %(names)s") % {"names": _named(asked.categories)})
    parts.append(_tiers(asked.tiers))
    if asked.segments and for_staff:
        names = ", ".join(f"«{Segment(segment).label}»" for segment in asked.segments)
        parts.append(gettext("for the segments %(names)s") % {"names": names})
    elif asked.segments:
        parts.append(gettext("for some members, by how they buy"))
    parts.append(_birthday(asked.birthday_days))
    if asked.attended_event:
        parts.append(
            gettext("for guests of “%(event)s”") % {"event": event}
            if event
            else gettext("for guests of one of our events")
        )
    return [part for part in parts if part]


def facets(rule: Rule) -> list[tuple[str, str]]:
    """Return (name, words) of everything the rule says, for its owner; what is not asked is left out."""
    asked = rule.conditions
    named = [
        (gettext("What it gives"), effect_words(rule.effect)),
        (gettext("Dates"), ", ".join(_dates(asked))),
        (gettext("Days and hours"), " ".join(filter(None, [_weekdays(asked.weekdays), _hours(asked.hours)]))),
        (
            gettext("Bill"),
            gettext("%(sum)s or more") % {"sum": rub(asked.min_amount)} if asked.min_amount else "",
        ),
        (gettext("Categories"), ", ".join(asked.categories)),
        (gettext("First purchase"), gettext("only") if asked.first_purchase else ""),
        (gettext("Tiers"), ", ".join(map(str, asked.tiers))),
        (gettext("Segments"), ", ".join(str(Segment(segment).label) for segment in asked.segments)),
        (gettext("Birthday"), _birthday(asked.birthday_days)),
        (gettext("Event"), str(asked.attended_event or "")),
    ]
    return [(name, words) for name, words in named if words]


def effect_words(effect: Effect) -> str:
    """Return what the offer gives: “bonuses ×2”."""
    if effect.coupon:
        words = {"benefit": _coupon(effect.coupon), "days": effect.coupon.valid_days}
        return (
            ngettext(
                "a coupon for the next visit, %(benefit)s; good for %(days)d day",
                "a coupon for the next visit, %(benefit)s; good for %(days)d days",
                effect.coupon.valid_days,
            )
            % words
        )
    if effect.kind == MULTIPLIER:
        return gettext("bonuses ×%(times)s") % {"times": grouped(effect.value)}
    if effect.kind == PERCENT:
        return gettext("%(percent)s more in bonuses") % {"percent": percent(effect.value)}
    if effect.kind == FIXED:
        return gettext("%(bonuses)s more") % {"bonuses": bonus_words(effect.value)}
    off = rub(effect.value) if effect.kind == DISCOUNT_FIXED else percent(effect.value)
    return gettext("%(off)s off the bill") % {"off": off}


def badge(effect: Effect) -> Badge:
    """Return the effect as it stands in a list: ×2, +5 %, −100 ₽."""
    if effect.coupon:
        return Badge("★", "pine")
    if effect.kind == MULTIPLIER:
        return Badge(f"×{grouped(effect.value)}", "honey")
    if effect.kind in (DISCOUNT_PERCENT, DISCOUNT_FIXED):
        off = rub(effect.value) if effect.kind == DISCOUNT_FIXED else percent(effect.value)
        return Badge(f"−{off}", "berry")
    return Badge(f"+{percent(effect.value) if effect.kind == PERCENT else grouped(effect.value)}", "honey")


def limit_words(*, per_member: int | None, per_member_day: int | None) -> str:
    """Return how often one member may use it; empty where nothing limits that."""
    parts = []
    if per_member:
        words = ngettext(
            "at most %(times)d time for each member", "at most %(times)d times for each member", per_member
        )
        parts.append(words % {"times": per_member})
    if per_member_day:
        words = ngettext("at most %(times)d time a day", "at most %(times)d times a day", per_member_day)
        parts.append(words % {"times": per_member_day})
    return capfirst(", ".join(parts))


def last_moment(ends: datetime) -> str:
    """Return the last day of an offer, or the moment where it ends within a day; `ends` is past it."""
    local = timezone.localtime(ends)
    if local.time() == time():
        return date_format(local - timedelta(microseconds=1), "j E Y")
    return date_format(local, "j E Y, H:i")


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(pgettext("a name in quotes", "“%(name)s”") % {"name": name} for name in names)


def _dates(asked: Conditions) -> list[str]:
    words = {
        "first": asked.starts and _first_moment(asked.starts),
        "last": asked.ends and last_moment(asked.ends),
    }
    if asked.starts and asked.ends:
        return [gettext("from %(first)s to %(last)s") % words]
    if asked.starts:
        return [gettext("from %(first)s") % words]
    return [gettext("till %(last)s") % words] if asked.ends else []


def _first_moment(starts: datetime) -> str:
    local = timezone.localtime(starts)
    return date_format(local, "j E Y" if local.time() == time() else "j E Y, H:i")


def _weekdays(days: tuple[int, ...]) -> str:
    if not days or days == WEEKDAYS:
        return ""
    if days == WORKDAYS:
        return gettext("on weekdays")
    if days == WEEKEND:
        return gettext("at weekends")
    names = ", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in days)
    return gettext("on these days: %(names)s") % {"names": names}


def _hours(hours: Hours | None) -> str:
    if hours is None:
        return ""
    whole = not (hours.since.minute or hours.until.minute)
    since, until = (str(moment.hour) if whole else f"{moment:%H:%M}" for moment in (hours.since, hours.until))
    return pgettext("hours of the day", "%(since)s–%(until)s") % {"since": since, "until": until}


def _tiers(tiers: tuple[int, ...]) -> str:
    if not tiers or tiers == TIERS:
        return ""
    if len(tiers) == 1:
        return gettext("for tier %(level)d") % {"level": tiers[0]}
    if tiers == tuple(range(tiers[0], TIERS[-1] + 1)):
        return gettext("for tiers %(level)d and up") % {"level": tiers[0]}
    return gettext("for tiers %(levels)s") % {"levels": ", ".join(map(str, tiers))}


def _birthday(days: int | None) -> str:
    if days is None:
        return ""
    if days == 0:
        return gettext("on the birthday")
    words = ngettext("within %(days)d day of the birthday", "within %(days)d days of the birthday", days)
    return words % {"days": days}


def _coupon(coupon: NextCoupon) -> str:
    if coupon.benefit == GIFT:
        words = gettext("a gift: %(gift)s") % {"gift": coupon.text}
    elif coupon.benefit == MULTIPLIER:
        words = gettext("bonuses ×%(times)s") % {"times": grouped(coupon.value)}
    else:
        off = percent(coupon.value) if coupon.benefit == PERCENT else rub(coupon.value)
        words = gettext("%(off)s off the bill") % {"off": off}
    if coupon.min_amount > Decimal(0):
        words += " " + gettext("from %(sum)s") % {"sum": rub(coupon.min_amount)}
    return words
