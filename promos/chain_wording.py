"""A chain's terms in plain words, for staff of both sides and for members alike."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext, ngettext

from loyalty.templatetags.money import percent, rub
from promos.chain_terms import TERMS, differences, thawed
from promos.coupon_wording import benefit_words
from promos.models import Benefit, Coupon, CrossPromoChain


def trigger_words(terms: Mapping[str, Any], *, source: str) -> str:
    """Say which purchase brings the coupon."""
    said = [gettext("A purchase at “%(business)s”") % {"business": source}]
    if terms["continues_id"]:
        said.append(gettext("with a coupon of the chain before"))
    if terms["trigger_first_purchase"]:
        said.append(gettext("the first one there"))
    if terms["trigger_min_amount"]:
        said.append(gettext("of %(sum)s or more") % {"sum": rub(terms["trigger_min_amount"])})
    if terms["trigger_categories"]:
        said.append(
            gettext("of these categories: %(names)s") % {"names": "; ".join(terms["trigger_categories"])}
        )
    if terms["trigger_tiers"]:
        said.append(
            gettext("by members of tier %(tiers)s") % {"tiers": ", ".join(map(str, terms["trigger_tiers"]))}
        )
    if terms["trigger_weekdays"]:
        days = ", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in sorted(terms["trigger_weekdays"]))
        said.append(gettext("on %(days)s") % {"days": days})
    return ", ".join(said) + "."


def coupon_words(terms: Mapping[str, Any], *, target: str) -> str:
    """Say what the coupon gives, where and for how long."""
    given = Coupon(
        benefit=terms["coupon_benefit"],
        benefit_value=terms["coupon_value"],
        benefit_text=terms["coupon_text"],
    )
    words = {"benefit": benefit_words(given)[2], "business": target}
    said = [gettext("%(benefit)s at “%(business)s”") % words]
    if terms["coupon_min_amount"]:
        said.append(gettext("on a bill of %(sum)s or more") % {"sum": rub(terms["coupon_min_amount"])})
    days = terms["coupon_valid_days"]
    said.append(ngettext("valid for %(days)d day", "valid for %(days)d days", days) % {"days": days})
    if hours := terms["delay_hours"]:
        said.append(
            ngettext("comes %(hours)d hour after", "comes %(hours)d hours after", hours) % {"hours": hours}
        )
    return ", ".join(said) + "."


def chain_words(terms: Mapping[str, Any], *, source: str, target: str) -> list[tuple[str, str]]:
    """Return all terms, each part under its heading."""
    names = {"source": source, "target": target}
    excluded = terms["exclude_target_customers_days"]
    who = gettext("Everybody who consents to messages of “%(target)s”.") % names
    if excluded:
        who = gettext(
            "Members who consent to messages of “%(target)s” and bought nothing there for %(days)d days."
        ) % {**names, "days": excluded}
    limits = []
    if terms["budget_rub"] is not None:
        limits.append(gettext("discounts of %(sum)s") % {"sum": rub(terms["budget_rub"])})
    for name, text in (
        ("total_limit", gettext("coupons in all: %(n)d")),
        ("daily_limit", gettext("coupons a day: %(n)d")),
    ):
        if terms[name] is not None:
            limits.append(text % {"n": terms[name]})
    pays = gettext("“%(target)s” gives it.") % names
    if terms["discount_share_percent"] and terms["coupon_benefit"] in (Benefit.PERCENT, Benefit.FIXED):
        pays = gettext("“%(source)s” pays %(share)s of the discount, “%(target)s” the rest.") % {
            **names, "share": percent(terms["discount_share_percent"]),
        }  # fmt: skip
    fair = gettext("%(share)s of members get no coupon, to compare with; visits count for %(days)d days.")
    if not terms["holdout_percent"]:
        fair = gettext("Nobody is held out, so there is nothing to compare the coupons with.")
    held = {"share": percent(terms["holdout_percent"]), "days": terms["attribution_days"]}
    return [
        (gettext("When"), trigger_words(terms, source=source)),
        (gettext("What"), coupon_words(terms, target=target)),
        (gettext("To whom"), who),
        (gettext("At most"), ", ".join(limits) if limits else gettext("no limit")),
        (gettext("Who pays"), pays),
        (gettext("Hold-out"), fair % held),
    ]


def difference_words(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the terms that differ between two frozen versions: name, before, after."""
    before, after = thawed(old), thawed(new)
    return [
        (_label(name), _value(name, before[name]), _value(name, after[name]))
        for name in differences(old, new)
    ]


def _label(name: str) -> str:
    assert name in TERMS
    return str(CrossPromoChain._meta.get_field(name.removesuffix("_id")).verbose_name)


def _value(name: str, value: Any) -> str:
    if value is None or value in ("", []):
        return "—"
    if name == "coupon_benefit":
        return str(Benefit(value).label)
    if name == "trigger_weekdays":
        return ", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in value)
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
