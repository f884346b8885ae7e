"""Why a purchase brought what it brought: stored with it, shown to member, cashier and owner.

Version 2 holds the inputs, so that a stored purchase can be settled again (`replay_purchases`).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings

from loyalty.rules import Restored, TakeBack, Tier
from loyalty.services.accounts import Account
from promos.billing import Bill, CouponTerms, Line, Settled, line_json
from promos.models import Coupon
from svoykrug.money import ZERO

from .purchases import PurchaseRequest

VERSION = 2


def tier_terms(tier: Tier) -> dict[str, Any]:
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


def bill_inputs(bill: Bill) -> dict[str, Any]:
    """Return what a bill's outcome follows from, beside its amount and the amounts of its lines."""
    inputs: dict[str, Any] = {
        "accrual_percent": str(bill.accrual_percent),
        "cap_percent": str(bill.cap_percent),
    }
    if bill.redeem:
        inputs["redeem"] = str(bill.redeem)
    if bill.coupon:
        inputs["coupon"] = {"benefit": bill.coupon.benefit, "value": str(bill.coupon.value)}
    if bill.lines and not all(line.earns for line in bill.lines):
        inputs["earning_lines"] = [line.earns for line in bill.lines]
    if not bill.earns:
        inputs["earns"] = False
    return inputs


def stored_bill(amount: Decimal, explanation: dict[str, Any]) -> Bill:
    """Return the bill whose inputs an explanation holds. Raises KeyError for version 1, which held none."""
    inputs = explanation["inputs"]
    lines = explanation.get("lines", [])
    earning = inputs.get("earning_lines", [True] * len(lines))
    coupon = inputs.get("coupon")
    return Bill(
        amount=amount,
        accrual_percent=Decimal(inputs["accrual_percent"]),
        cap_percent=Decimal(inputs["cap_percent"]),
        redeem=Decimal(inputs.get("redeem", ZERO)),
        coupon=CouponTerms(coupon["benefit"], Decimal(coupon["value"])) if coupon else None,
        lines=tuple(Line(Decimal(line["amount"]), earns) for line, earns in zip(lines, earning, strict=True)),
        earns=inputs.get("earns", True),
    )


def accrual_rules(
    *, request: PurchaseRequest, bill: Bill, settled: Settled, coupon: Coupon | None, repaid: Decimal
) -> list[dict[str, Any]]:
    """Return the rules of tier, coupon, spending, lines that earn nothing, and debt."""
    can_accrue = request.business.can_accrue
    reason = "" if can_accrue else "can_accrue: this business gives no bonuses"
    rules = [
        rule(
            "tier",
            applied=can_accrue,
            effect=settled.by_tier,
            reason=reason,
            percent=str(bill.accrual_percent),
        )
    ]
    if coupon:
        rules.append(
            rule(
                "coupon",
                applied=True,
                effect=settled.bonus_accrued - settled.by_tier,
                code=coupon.code,
                benefit=coupon.benefit,
                value=str(coupon.benefit_value),
                text=coupon.benefit_text,
                discount=str(settled.coupon_discount),
            )
        )
    if settled.not_earning:
        rules.append(rule("no_earn", applied=True, amount=str(settled.not_earning)))
    if bill.redeem:
        rules.append(
            rule("redemption", applied=True, spent=str(bill.redeem), limit=str(settled.max_redeemable))
        )
    if repaid:
        rules.append(rule("debt", applied=True, effect=-repaid))
    return rules


def purchase_explanation(
    *,
    account: Account,
    tier: Tier,
    bill: Bill,
    settled: Settled,
    rules: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return what is stored with a purchase: inputs, every rule looked at, and the outcome.

    tier  whose rate it earned at; a purchase that lifts the member earns at the old one
    """
    explanation = {
        "version": VERSION,
        "tier": tier_terms(tier),
        "inputs": bill_inputs(bill),
        "earn_base": str(settled.earn_base),
        "rules": list(rules),
        "accrued": str(settled.bonus_accrued),
        "balance": str(account.balance),
        "flags": ["large"] if bill.amount > settings.LARGE_PURCHASE_RUB else [],
    }
    if settled.lines:
        explanation["lines"] = [line_json(share) for share in settled.lines]
    return explanation


def refund_explanation(
    *,
    account: Account,
    spent: Decimal,
    restored: Restored,
    taken: TakeBack,
    rules: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return what is stored with a refund: bonuses returned, taken back, put into debt, written off.

    `repaid` and `recovered` are of those returned: they went to debt and to earlier write-offs.
    `expired` of those that the purchase had brought were lost already when it came.
    """
    return {
        "version": VERSION,
        "tier": tier_terms(account.tier),
        "refund": {
            "restored": str(spent),
            "repaid": str(restored.repaid),
            "recovered": str(restored.recovered),
            "taken_back": str(taken.taken),
            "expired": str(taken.expired),
            "debt": str(taken.debt),
            "written_off": str(taken.written_off),
        },
        "rules": list(rules),
        "balance": str(account.balance),
    }
