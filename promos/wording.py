"""Stored explanations in the words that members and staff read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import get_language, gettext, ngettext

from loyalty.models import Transaction
from loyalty.templatetags.money import bonus_words, percent, rub
from promos.models import Benefit
from promos.offers.rules import COUPON, FIXED, MULTIPLIER, PERCENT
from svoykrug.money import ZERO

DETAILS = re.compile(r"(?P<needed>.*) needed, (?P<given>.*) given", re.DOTALL)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


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
class Line:
    """A line of the receipt and its part of the bill; roubles and bonuses for all of it."""

    name: str
    quantity: str
    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    bonus_accrued: Decimal


@dataclass(frozen=True, slots=True)
class ExplainedPurchase:
    """Why a purchase brought what it brought.

    discounts    by the coupon and by each offer, in roubles below zero
    not_earning  roubles of goods that bring no bonuses
    repaid       of its bonuses, what went towards a debt
    risen        the tier that the member reached by it; empty if none
    gift         bonuses for joining by an invitation, apart from those of the purchase
    lines        empty where the receipt came without lines
    """

    discounts: list[Step]
    earn_base: Decimal
    not_earning: Decimal
    steps: list[Step]
    missed: list[Missed]
    repaid: Decimal
    risen: str
    gift: Decimal
    lines: list[Line]


def explained(
    explanation: dict[str, Any], *, business: str, lines: list[dict[str, Any]] | None = None
) -> ExplainedPurchase:
    """Put the explanation stored with a purchase into words.

    lines  of the receipt as the till named them

    What it does not hold is not told: who is in the hold-out of a chain never learns it here.
    """
    rules = explanation.get("rules", [])
    effects = {rule["rule"]: Decimal(rule["effect"]) for rule in rules if rule["applied"]}
    params = {rule["rule"]: rule["params"] for rule in rules if rule["applied"]}
    return ExplainedPurchase(
        discounts=[step for rule in rules if rule["applied"] for step in _discounts(rule)],
        earn_base=Decimal(explanation.get("earn_base", ZERO)),
        not_earning=Decimal(params["no_earn"]["amount"]) if "no_earn" in params else ZERO,
        steps=[step for rule in rules if rule["applied"] for step in _steps(rule, explanation)],
        missed=[missed for rule in rules if not rule["applied"] for missed in _missed(rule, business)],
        repaid=-effects.get("debt", ZERO),
        risen=_tier_name(params["tier_rise"]["names"]) if "tier_rise" in params else "",
        gift=effects.get("referral", ZERO),
        lines=_lines(lines or [], explanation.get("lines", [])),
    )


def _lines(named: list[dict[str, Any]], shares: list[dict[str, str]]) -> list[Line]:
    # Purchases recorded before lines were settled hold none.
    return [
        Line(
            name=line_name(line, number),
            quantity=_plain(Decimal(str(line["quantity"]))) if line.get("quantity") else "",
            amount=Decimal(share["amount"]),
            coupon_discount=Decimal(share["coupon_discount"]),
            bonus_redeemed=Decimal(share["bonus_redeemed"]),
            bonus_accrued=Decimal(share["bonus_accrued"]),
        )
        for number, (line, share) in enumerate(zip(named, shares, strict=False), start=1)
    ]


def line_name(line: dict[str, Any], number: int) -> str:
    """Return what the till calls the line, or its number on the receipt."""
    named = line.get("name") or line.get("category") or line.get("sku")
    return str(named) if named else gettext("Line %(number)d") % {"number": number}


@dataclass(frozen=True, slots=True)
class ExplainedRefund:
    """What a refund did to the member's bonuses.

    lines  what was given back, where it was by line
    """

    at: datetime
    paid_rub: Decimal
    steps: list[Step]
    lines: list[str]


def explained_refund(refund: Transaction, *, lines: list[dict[str, Any]] | None = None) -> ExplainedRefund:
    """Put a stored refund into words.

    lines  of the purchase's receipt as the till named them
    """
    named = lines or []
    return ExplainedRefund(
        at=refund.created_at,
        paid_rub=-refund.amount_paid,
        steps=list(_refund_steps(refund.explanation)),
        lines=[
            line_name(named[part["line"] - 1] if part["line"] <= len(named) else {}, part["line"])
            for part in refund.lines or []
            if "line" in part
        ],
    )


def _refund_steps(explanation: dict[str, Any]) -> Iterator[Step]:
    sums = {name: Decimal(text) for name, text in explanation.get("refund", {}).items()}
    if restored := sums.get("restored"):
        yield Step(gettext("The bonuses you paid with are yours again"), restored)
    if repaid := sums.get("repaid"):
        yield Step(gettext("Of these, %(sum)s went towards your debt") % {"sum": bonus_words(repaid)}, ZERO)
    if recovered := sums.get("recovered"):
        yield Step(gettext("Of these, for the bonuses an earlier refund could not take"), -recovered)
    if taken := sums.get("taken_back"):
        yield Step(gettext("Bonuses of the purchase taken back"), -taken)
    if expired := sums.get("expired"):
        words = {"sum": bonus_words(expired)}
        yield Step(gettext("%(sum)s of the purchase had run out already: nothing to take") % words, ZERO)
    if debt := sums.get("debt"):
        yield Step(gettext("Already spent, so owed: new bonuses cover it first"), -debt)
    if written_off := sums.get("written_off"):
        words = {"sum": bonus_words(written_off)}
        yield Step(gettext("%(sum)s already spent: we let it be") % words, ZERO)
    for rule in explanation.get("rules", []):
        if rule["rule"] == "referral" and rule["applied"]:
            yield Step(gettext("Gift for joining by an invitation taken back"), Decimal(rule["effect"]))


def _tier_name(names: dict[str, str]) -> str:
    return names["name_en"] if (get_language() or "").startswith("en") else names["name"]


def _discounts(rule: dict[str, Any]) -> Iterator[Step]:
    discount = Decimal(rule["params"].get("discount", ZERO))
    if discount:
        named = rule["rule"] == "offer"
        words = {"title": rule["params"]["title"]} if named else {}
        text = gettext("Discount by the offer “%(title)s”") if named else gettext("Discount by coupon")
        yield Step(_of_lines(text % words, rule["params"]), -discount)


def _of_lines(words: str, params: dict[str, Any]) -> str:
    """Add the lines of the receipt that an offer was for, where it was not for all of it."""
    lines = params.get("lines", [])
    if not lines:
        return words
    text = ngettext("%(offer)s, on line %(lines)s", "%(offer)s, on lines %(lines)s", len(lines))
    return text % {"offer": words, "lines": ", ".join(map(str, lines))}


def _offer_step(rule: dict[str, Any]) -> Iterator[Step]:
    params, effect = rule["params"], Decimal(rule["effect"])
    words = {"title": params["title"], "value": _plain(Decimal(params["value"]))}
    if params["kind"] == MULTIPLIER:
        yield Step(_of_lines(gettext("Offer “%(title)s”: ×%(value)s") % words, params), effect)
    elif params["kind"] == PERCENT:
        words["value"] = percent(Decimal(params["value"]))
        yield Step(_of_lines(gettext("Offer “%(title)s”: %(value)s more") % words, params), effect)
    elif params["kind"] == FIXED:
        yield Step(gettext("Offer “%(title)s”") % words, effect)
    elif params["kind"] == COUPON:
        yield Step(gettext("Offer “%(title)s”: a coupon for the next visit") % words, ZERO)


def _steps(rule: dict[str, Any], explanation: dict[str, Any]) -> Iterator[Step]:
    effect, params = Decimal(rule["effect"]), rule["params"]
    if rule["rule"] == "tier":
        tier = explanation["tier"]
        words = {
            "tier": _tier_name(tier),
            "percent": percent(Decimal(tier["percent"])),
            "sum": rub(Decimal(explanation["earn_base"])),
        }
        yield Step(gettext("Tier “%(tier)s”: %(percent)s of %(sum)s") % words, effect)
    elif rule["rule"] == "coupon" and params["benefit"] == Benefit.MULTIPLIER:
        times = f"×{_plain(Decimal(params['value']))}"
        yield Step(gettext("Coupon: %(times)s bonuses") % {"times": times}, effect)
    elif rule["rule"] == "coupon" and params["benefit"] == Benefit.GIFT:
        yield Step(gettext("Coupon: a gift, %(gift)s") % {"gift": params["text"]}, effect)
    elif rule["rule"] == "offer":
        yield from _offer_step(rule)
    elif rule["rule"] == "limit":
        words = {
            "percent": percent(Decimal(params["percent"])),
            "sum": rub(Decimal(explanation["earn_base"])),
        }
        yield Step(gettext("No more comes for one purchase: %(percent)s of %(sum)s") % words, effect)


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
    if rule["rule"] == "offer" and (missing := _missing(condition, rest)):
        title = {"title": rule["params"]["title"]}
        yield Missed(gettext("Offer “%(title)s”") % title, missing)


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
    if condition == "hours":
        return gettext("Comes at these hours: %(hours)s.") % {"hours": needed}
    if condition == "birthday":
        days = rest.split(" ")[0]
        if not days.isdigit():
            return gettext("Comes around the birthday, and we do not know yours.")
        return gettext("Comes around your birthday; days before and after: %(days)s.") % {"days": days}
    return {
        # Which segment a member is in is for the owner's eyes.
        "segment": gettext("Was meant for other members this time."),
        "attended_event": gettext("Was meant for those who came to an event."),
        "per_member": gettext("You had used it as often as it may be used."),
        "per_member_day": gettext("You had used it that day already."),
        "total_uses": gettext("All of it had been given out."),
        "budget": gettext("All of it had been given out."),
        "exclusive": gettext("Another offer gave you more."),
        "effect": gettext("There was nothing to add to this bill."),
        "first_purchase": gettext("Comes with the first purchase here only."),
        "one_live": gettext("Your last coupon of this kind was still live."),
        "total_limit": gettext("All coupons of this kind had been given out."),
        "daily_limit": gettext("The coupons of that day had been given out."),
    }.get(condition, "")
