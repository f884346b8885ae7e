"""Why a purchase brought what it brought: stored with it, shown to member, cashier and owner."""

from decimal import Decimal
from typing import Any

from django.conf import settings

from loyalty.models import StatusTier
from loyalty.services.ledger import Account
from promos.models import Coupon
from promos.rules import CouponEffect
from svoykrug.money import ZERO

from .purchases import PurchaseRequest

VERSION = 1


def tier_terms(tier: StatusTier) -> dict[str, Any]:
    """Return the tier's terms as they were when the rule ran."""
    return {
        "level": tier.level,
        "name": tier.name,
        "name_en": tier.name_en,
        "percent": str(tier.accrual_percent),
    }


def rule(
    name: str, *, applied: bool, effect: Decimal = ZERO, reason: str = "", **params: Any
) -> dict[str, Any]:
    """Return one rule that was looked at.

    effect  bonuses it brought; reason  the first condition that failed, if it was not applied
    """
    return {"rule": name, "applied": applied, "effect": str(effect), "reason": reason, "params": params}


def accrual_rules(
    *,
    request: PurchaseRequest,
    account: Account,
    earned: Decimal,
    by_tier: Decimal,
    coupon: Coupon | None,
    effect: CouponEffect,
    repaid: Decimal,
) -> list[dict[str, Any]]:
    """Return the rules of tier, coupon and debt.

    earned   bonuses of the purchase; by_tier  what the tier alone would have brought
    """
    reason = "" if request.business.can_accrue else "can_accrue: this business gives no bonuses"
    rules = [
        rule(
            "tier",
            applied=request.business.can_accrue,
            effect=by_tier,
            reason=reason,
            percent=str(account.tier.accrual_percent),
        )
    ]
    if coupon:
        rules.append(
            rule(
                "coupon",
                applied=True,
                effect=earned - by_tier,
                code=coupon.code,
                benefit=coupon.benefit,
                value=str(coupon.benefit_value),
                text=coupon.benefit_text,
                discount=str(effect.discount),
            )
        )
    if repaid:
        rules.append(rule("debt", applied=True, effect=-repaid))
    return rules


def purchase_explanation(
    *,
    request: PurchaseRequest,
    account: Account,
    earn_base: Decimal,
    earned: Decimal,
    rules: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what is stored with a purchase: inputs, every rule looked at, and the outcome."""
    flags = ["large"] if request.amount > settings.LARGE_PURCHASE_RUB else []
    return {
        "version": VERSION,
        "tier": tier_terms(account.tier),
        "earn_base": str(earn_base),
        "rules": rules,
        "accrued": str(earned),
        "balance": str(account.balance),
        "flags": flags,
    }


def refund_explanation(
    *, account: Account, taken_back: Decimal, debt: Decimal, written_off: Decimal
) -> dict[str, Any]:
    """Return what is stored with a refund: bonuses taken back, put into debt, written off."""
    return {
        "version": VERSION,
        "tier": tier_terms(account.tier),
        "refund": {"taken_back": str(taken_back), "debt": str(debt), "written_off": str(written_off)},
        "balance": str(account.balance),
    }
