"""Coupons and stored explanations in the words that members read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from loyalty.qr import qr_svg
from loyalty.templatetags.money import percent, rub
from promos.models import Benefit, Coupon
from svoykrug.money import ZERO

DETAILS = re.compile(r"(?P<needed>.*) needed, (?P<given>.*) given", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CouponCard:
    """A coupon as a member sees it.

    badge   the benefit in a few characters; tone  its colour
    state   of a past coupon: what became of it
    """

    business: str
    source: str
    code: str
    badge: str
    tone: str
    benefit: str
    terms: str
    days_left: str
    state: str
    valid_from: datetime | None
    valid_until: datetime
    qr: SafeString


def coupon_card(coupon: Coupon, *, at: datetime) -> CouponCard:
    """Put a coupon into words; its business and chain's source must be loaded."""
    badge, tone, benefit = _benefit(coupon)
    return CouponCard(
        business=coupon.business.name,
        source=coupon.chain.source_business.name if coupon.chain else "",
        code=str(coupon),
        badge=badge,
        tone=tone,
        benefit=benefit,
        terms=gettext("On a bill of %(sum)s or more") % {"sum": rub(coupon.min_amount)}
        if coupon.min_amount
        else "",
        days_left=_days_left(coupon.valid_until, at),
        state=_state(coupon),
        valid_from=coupon.valid_from if coupon.valid_from > at else None,
        valid_until=coupon.valid_until,
        qr=qr_svg(coupon.code, border=0),
    )


def _benefit(coupon: Coupon) -> tuple[str, str, str]:
    value = coupon.benefit_value
    if coupon.benefit == Benefit.PERCENT:
        words = {"percent": percent(value)}
        return f"−{percent(value)}", "berry", gettext("%(percent)s off the bill") % words
    if coupon.benefit == Benefit.FIXED:
        return f"−{rub(value)}", "berry", gettext("%(sum)s off the bill") % {"sum": rub(value)}
    if coupon.benefit == Benefit.MULTIPLIER:
        times = f"×{_plain(value)}"
        return times, "honey", gettext("%(times)s bonuses for the purchase") % {"times": times}
    return "★", "pine", gettext("A gift: %(gift)s") % {"gift": coupon.benefit_text}


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _days_left(until: datetime, at: datetime) -> str:
    days = (timezone.localdate(until) - timezone.localdate(at)).days
    if days <= 0:
        return gettext("last day today")
    return ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}


def _state(coupon: Coupon) -> str:
    if coupon.status == Coupon.Status.REDEEMED:
        return gettext("Used")
    return gettext("Cancelled") if coupon.status == Coupon.Status.VOIDED else gettext("Out of date")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the arithmetic: `3 % of 700 ₽` and what it brought in bonuses."""

    text: str
    effect: Decimal


@dataclass(frozen=True, slots=True)
class Missed:
    """A rule that was looked at and did not apply, and what was missing."""

    text: str
    missing: str


@dataclass(frozen=True, slots=True)
class ExplainedPurchase:
    earn_base: Decimal
    steps: list[Step]
    missed: list[Missed]


def explained(explanation: dict[str, Any], *, business: str) -> ExplainedPurchase:
    """Put the explanation stored with a purchase into words.

    What it does not hold is not told: who is in the hold-out of a chain never learns it here.
    """
    rules = explanation.get("rules", [])
    return ExplainedPurchase(
        earn_base=Decimal(explanation.get("earn_base", ZERO)),
        steps=[step for rule in rules if rule["applied"] for step in _steps(rule, explanation)],
        missed=[missed for rule in rules if not rule["applied"] for missed in _missed(rule, business)],
    )


def _steps(rule: dict[str, Any], explanation: dict[str, Any]) -> Iterator[Step]:
    effect, params = Decimal(rule["effect"]), rule["params"]
    if rule["rule"] == "tier":
        tier = explanation["tier"]
        name = tier["name_en"] if (get_language() or "").startswith("en") else tier["name"]
        words = {
            "tier": name,
            "percent": percent(Decimal(tier["percent"])),
            "sum": rub(Decimal(explanation["earn_base"])),
        }
        yield Step(gettext("Tier “%(tier)s”: %(percent)s of %(sum)s") % words, effect)
    elif rule["rule"] == "coupon" and params["benefit"] == Benefit.MULTIPLIER:
        times = f"×{_plain(Decimal(params['value']))}"
        yield Step(gettext("Coupon: %(times)s bonuses") % {"times": times}, effect)
    elif rule["rule"] == "coupon" and params["benefit"] == Benefit.GIFT:
        yield Step(gettext("Coupon: a gift, %(gift)s") % {"gift": params["text"]}, effect)
    elif rule["rule"] == "limit":
        yield Step(gettext("Limit of bonuses for one purchase"), effect)
    elif rule["rule"] == "debt":
        yield Step(gettext("Went towards the debt after a refund"), effect)


def _missed(rule: dict[str, Any], business: str) -> Iterator[Missed]:
    condition, _, rest = rule["reason"].partition(": ")
    if rule["rule"] == "tier" and condition == "can_accrue":
        yield Missed(
            gettext("Bonuses of your tier"),
            gettext("“%(business)s” does not give bonuses for the moment.") % {"business": business},
        )
    if rule["rule"] == "chain":
        target = rule["params"]["target"]
        if missing := _missing(condition, rest):
            yield Missed(gettext("A coupon for “%(business)s”") % {"business": target}, missing)


def _missing(condition: str, rest: str) -> str:
    details = DETAILS.fullmatch(rest)
    needed, given = (details["needed"], details["given"]) if details else ("", "")
    if condition == "min_amount":
        words = {"needed": rub(Decimal(needed)), "given": rub(Decimal(given))}
        return gettext("Comes with a bill of %(needed)s or more; this one was %(given)s.") % words
    if condition == "category":
        return gettext("Comes with purchases of: %(categories)s.") % {"categories": needed}
    if condition == "tier":
        return gettext("For members of tier %(needed)s; yours was %(given)s.") % {
            "needed": needed,
            "given": given,
        }
    if condition == "weekday":
        days = ", ".join(str(WEEKDAYS_ABBR[int(day) - 1]) for day in needed.split(", "))
        return gettext("Comes on these days: %(days)s.") % {"days": days}
    return {
        "first_purchase": gettext("Comes with the first purchase here only."),
        "one_live": gettext("Your last coupon of this kind was still live."),
        "total_limit": gettext("All coupons of this kind had been given out."),
        "daily_limit": gettext("The coupons of that day had been given out."),
    }.get(condition, "")
