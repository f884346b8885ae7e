"""Why a purchase brought what it brought: stored with it, shown to member, cashier and owner.

Version 2 holds the inputs, so that a stored purchase can be settled again (`replay_purchases`).
Version 3 holds the cap too, and every offer looked at with what its conditions and limits met; of
receipts recorded since offers look at lines, their categories (before, the purchase's alone decided).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from loyalty.rules import Restored, TakeBack, Tier
from loyalty.services.accounts import Account
from promos.billing import Bill, CouponTerms, Line, line_json
from promos.models import Coupon
from promos.offers.decision import NO_USAGE, Decision, Usage
from promos.offers.facts import Facts
from promos.offers.rules import plain
from svoykrug.money import ZERO

from .purchases import PurchaseRequest

VERSION = 3
# Earlier ones held nothing that could be settled again.
REPLAYABLE = 2


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
    if bill.accrual_cap_percent is not None:
        inputs["accrual_cap_percent"] = str(bill.accrual_cap_percent)
    return inputs


def offer_inputs(decision: Decision) -> dict[str, Any]:
    """Return what the decision about offers followed from, beside the bill, the time and the tier."""
    facts = decision.facts
    if facts is None:
        return {}
    known: dict[str, Any] = {}
    if facts.segment:
        known["segment"] = facts.segment
    if facts.returning:
        known["returning"] = True
    if facts.birthday is not None:
        known["birthday"] = facts.birthday
    if facts.attended:
        known["attended"] = sorted(map(str, facts.attended))
    if facts.lines and any(one.offer.rule.conditions.categories for one in decision.looked):
        known["lines"] = list(facts.lines)
    used = {
        str(one.offer.id): [
            one.usage.by_member, one.usage.by_member_today, one.usage.uses, str(one.usage.bonuses)
        ]
        for one in decision.looked
        if one.usage != NO_USAGE
    }  # fmt: skip
    return {"facts": known, "used": used} if used else {"facts": known}


def stored_bill(amount: Decimal, explanation: dict[str, Any]) -> Bill:
    """Return the bill whose inputs an explanation holds, without its offers.

    Raises KeyError for version 1, which held none.
    """
    inputs = explanation["inputs"]
    lines = explanation.get("lines", [])
    earning = inputs.get("earning_lines", [True] * len(lines))
    coupon, cap = inputs.get("coupon"), inputs.get("accrual_cap_percent")
    return Bill(
        amount=amount,
        accrual_percent=Decimal(inputs["accrual_percent"]),
        cap_percent=Decimal(inputs["cap_percent"]),
        redeem=Decimal(inputs.get("redeem", ZERO)),
        coupon=CouponTerms(coupon["benefit"], Decimal(coupon["value"])) if coupon else None,
        lines=tuple(Line(Decimal(line["amount"]), earns) for line, earns in zip(lines, earning, strict=True)),
        earns=inputs.get("earns", True),
        accrual_cap_percent=None if cap is None else Decimal(cap),
    )


def stored_facts(explanation: dict[str, Any], *, at: datetime, amount: Decimal, category: str) -> Facts:
    """Return what was known of a purchase and its member when its offers were decided."""
    known = explanation["inputs"]["offers"]["facts"]
    return Facts(
        at=timezone.localtime(at),
        amount=amount,
        category=category,
        tier=explanation["tier"]["level"],
        segment=known.get("segment"),
        returning=known.get("returning", False),
        birthday=known.get("birthday"),
        attended=frozenset(map(UUID, known.get("attended", ()))),
        lines=tuple(known.get("lines", ())),
    )


def stored_usage(explanation: dict[str, Any]) -> dict[UUID, Usage]:
    """Return how far the limits of the offers were used before a purchase."""
    used = explanation["inputs"]["offers"].get("used", {})
    return {
        UUID(key): Usage(by_member, today, uses, Decimal(bonuses))
        for key, (by_member, today, uses, bonuses) in used.items()
    }


def accrual_rules(
    *,
    request: PurchaseRequest,
    decision: Decision,
    coupon: Coupon | None,
    given: Mapping[UUID, Coupon],
    repaid: Decimal,
) -> list[dict[str, Any]]:
    """Return the rules of tier, coupon, offers, cap, spending, lines that earn nothing, and debt.

    given  coupons for the next visit, by offer
    """
    bill, settled = decision.bill, decision.settled
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
                effect=settled.by_coupon.bonuses,
                code=coupon.code,
                benefit=coupon.benefit,
                value=str(coupon.benefit_value),
                text=coupon.benefit_text,
                discount=str(settled.by_coupon.discount),
            )
        )
    rules += offer_rules(decision, given)
    if settled.cut:
        # The parts above are cut already; below zero only where the tier alone is above the cap.
        rules.append(
            rule(
                "limit",
                applied=True,
                effect=min(settled.bonus_accrued - settled.by_tier, ZERO),
                percent=str(bill.accrual_cap_percent),
                cut=str(settled.cut),
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


def offer_rules(decision: Decision, given: Mapping[UUID, Coupon]) -> list[dict[str, Any]]:
    """Return every offer looked at, in the order of precedence.

    `lines` are those that it is for, counted from 1, where it is not for the whole bill.
    """
    return [
        rule(
            "offer",
            applied=one.applied,
            effect=one.part.bonuses,
            reason=one.reason or "",
            offer=str(one.offer.id),
            version=one.offer.version,
            title=one.offer.title,
            kind=one.offer.rule.effect.kind,
            value=plain(one.offer.rule.effect.value),
            discount=str(one.part.discount),
            **({"lines": [line + 1 for line in sorted(one.cover)]} if one.cover is not None else {}),
            **({"coupon": given[one.offer.id].code} if one.offer.id in given else {}),
        )
        for one in decision.looked
    ]


def purchase_explanation(
    *,
    account: Account,
    tier: Tier,
    decision: Decision,
    rules: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return what is stored with a purchase: inputs, every rule looked at, and the outcome.

    tier  whose rate it earned at; a purchase that lifts the member earns at the old one
    """
    bill, settled = decision.bill, decision.settled
    inputs = bill_inputs(bill)
    if decision.looked:
        inputs["offers"] = offer_inputs(decision)
    explanation = {
        "version": VERSION,
        "tier": tier_terms(tier),
        "inputs": inputs,
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
