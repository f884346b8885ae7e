"""The terms of a chain: what both sides agree to, frozen in versions. No database but the chain given.

Specification, rules.md, "Cross-promotion chains".
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from .models import Benefit, CrossPromoChain

# In the order in which they are told. Businesses and title are no terms: they never change once proposed.
TERMS = (
    "continues_id",
    "trigger_min_amount",
    "trigger_categories",
    "trigger_tiers",
    "trigger_weekdays",
    "trigger_first_purchase",
    "exclude_target_customers_days",
    "coupon_benefit",
    "coupon_value",
    "coupon_text",
    "coupon_min_amount",
    "coupon_valid_days",
    "delay_hours",
    "budget_rub",
    "total_limit",
    "daily_limit",
    "discount_share_percent",
    "holdout_percent",
    "attribution_days",
)
DISCOUNTS = (Benefit.PERCENT, Benefit.FIXED)
TIERS = range(1, 5)
WEEKDAYS = range(1, 8)


def terms_of(chain: CrossPromoChain) -> dict[str, Any]:
    """Return the terms that stand in a chain's row."""
    return {name: getattr(chain, name) for name in TERMS}


def frozen(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return terms as JSON: sums and keys as text."""
    return {name: _plain(name, terms[name]) for name in TERMS}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list):
        return list(value)
    if value is not None and hasattr(_field(name), "decimal_places"):
        return f"{Decimal(value):.2f}"
    return value


def thawed(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return frozen terms as values of the chain's columns; a term younger than they has its default."""
    return {
        name: _field(name).to_python(terms[name]) if name in terms else _field(name).get_default()
        for name in TERMS
    }


def _field(name: str) -> Any:
    field = CrossPromoChain._meta.get_field(name.removesuffix("_id"))
    return field.target_field if name == "continues_id" else field


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names of terms that differ between two frozen versions."""
    before, after = frozen(thawed(old)), frozen(thawed(new))
    return [name for name in TERMS if before[name] != after[name]]


def faults(terms: Mapping[str, Any], *, issued: int = 0) -> dict[str, str]:
    """Return what is wrong by term, in the reader's language; the database need not be asked for it.

    issued  coupons that the chain has given already
    """
    found = _coupon_faults(terms)
    for name, values in (("trigger_tiers", TIERS), ("trigger_weekdays", WEEKDAYS)):
        if any(value not in values for value in terms[name]):
            found[name] = _("From %(first)d to %(last)d.") % {"first": values[0], "last": values[-1]}
    if any(not category.strip() for category in terms["trigger_categories"]):
        found["trigger_categories"] = _("A category has no name.")
    for name in ("trigger_min_amount", "coupon_min_amount"):
        if terms[name] < 0:
            found[name] = _("A sum cannot be below zero.")
    if terms["budget_rub"] is not None and terms["budget_rub"] <= 0:
        found["budget_rub"] = _("Above zero, or empty for no budget.")
    for name in ("total_limit", "daily_limit"):
        if terms[name] is not None and terms[name] < 1:
            found[name] = _("At least one, or empty for no limit.")
    if terms["total_limit"] is not None and 0 < terms["total_limit"] < issued:
        found["total_limit"] = _("%(issued)d coupons are given already.") % {"issued": issued}
    for name in ("coupon_valid_days", "attribution_days"):
        if not 1 <= terms[name] <= 366:
            found[name] = _("From %(first)d to %(last)d.") % {"first": 1, "last": 366}
    if terms["exclude_target_customers_days"] > 3660:
        found["exclude_target_customers_days"] = _("At most ten years.")
    if terms["delay_hours"] > 24 * 90:
        found["delay_hours"] = _("At most ninety days.")
    for name in ("discount_share_percent", "holdout_percent"):
        if not 0 <= terms[name] <= 100:
            found[name] = _("From %(first)d to %(last)d.") % {"first": 0, "last": 100}
    return found


def _coupon_faults(terms: Mapping[str, Any]) -> dict[str, str]:
    benefit, value = terms["coupon_benefit"], terms["coupon_value"]
    if benefit == Benefit.PERCENT and not 0 < value <= 100:
        return {"coupon_value": _("Above 0 and at most 100 per cent.")}
    if benefit == Benefit.FIXED and value <= 0:
        return {"coupon_value": _("Above 0 roubles.")}
    if benefit == Benefit.MULTIPLIER and not 1 < value <= 100:
        return {"coupon_value": _("Above 1 and at most 100 times.")}
    if benefit == Benefit.GIFT and not terms["coupon_text"].strip():
        return {"coupon_text": _("Name the gift.")}
    return {}


def warnings(terms: Mapping[str, Any]) -> dict[str, str]:
    """Return, by term, what is allowed and yet can never matter or hold."""
    found: dict[str, str] = {}
    if terms["holdout_percent"] == 100:
        found["holdout_percent"] = _("Everybody is held out: nobody will ever get a coupon.")
    if terms["coupon_benefit"] not in DISCOUNTS:
        if terms["budget_rub"] is not None:
            found["budget_rub"] = _("This coupon takes no roubles off, so the budget will never be spent.")
        if terms["discount_share_percent"]:
            found["discount_share_percent"] = _(
                "This coupon takes no roubles off: there is nothing to share."
            )
    total, daily = terms["total_limit"], terms["daily_limit"]
    if total is not None and daily is not None and daily > total:
        found["daily_limit"] = _("More than the coupons in all: this limit will never be reached.")
    if terms["coupon_benefit"] == Benefit.FIXED and terms["coupon_min_amount"] < terms["coupon_value"]:
        found["coupon_min_amount"] = _("Below the discount: a small bill will cost the member nothing.")
    return found
