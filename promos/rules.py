"""Coupons and chains, with no database: specification, rules.md, Coupons and Cross-promotion chains."""

import hashlib
import secrets
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from .models import Coupon

if TYPE_CHECKING:
    from .services.chain_state import Chain

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 10
LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\u00a0": None})


def check_character(body: str) -> str:
    """Return the Luhn mod 32 check character: it catches every single wrong character."""
    total, factor = 0, 2
    for character in reversed(body):
        product = CROCKFORD.index(character) * factor
        total += product // 32 + product % 32
        factor = 3 - factor
    return CROCKFORD[-total % 32]


def new_code() -> str:
    """Return a random coupon code: 9 characters and the check character."""
    body = "".join(secrets.choice(CROCKFORD) for _place in range(CODE_LENGTH - 1))
    return body + check_character(body)


def normalise_code(typed: str) -> str | None:
    """Return the stored form of a code as a person typed it, or None if it cannot be a code."""
    code = typed.strip().upper().translate(LOOKALIKES)
    if len(code) != CODE_LENGTH or any(character not in CROCKFORD for character in code):
        return None
    return code if check_character(code[:-1]) == code[-1] else None


def coupon_refusal(
    coupon: Coupon, *, member_id: UUID, business_id: UUID, amount: Decimal, at: datetime
) -> str | None:
    """Return why the coupon may not be redeemed in this bill, or None if it may."""
    if coupon.member_id != member_id:
        return "The coupon belongs to another member."
    if coupon.business_id != business_id:
        return "The coupon is for another business."
    if coupon.status != Coupon.Status.ISSUED:
        return f"The coupon is already {coupon.status}."
    if at < coupon.valid_from:
        return "The coupon is not valid yet."
    if at >= coupon.valid_until:
        return "The coupon has run out."
    if amount < coupon.min_amount:
        return f"min_amount: {coupon.min_amount} needed, {amount} given"
    return None


def in_holdout(chain_id: UUID, member_id: UUID, percent: Decimal) -> bool:
    """Whether the member belongs to the chain's control group: stable, by `sha256(chain_id + user_id)`."""
    digest = hashlib.sha256(f"{chain_id}{member_id}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * 2**64


def trigger_refusal(
    chain: "Chain",
    *,
    amount: Decimal,
    category: str,
    tier_level: int | None,
    at: datetime,
    zone: ZoneInfo,
) -> str | None:
    """Return the first condition of the chain that the purchase does not meet, or None.

    tier_level  None where it is not known yet and any will do

    Looks at the purchase alone; what needs the member's history is decided by the checkout.
    """
    if amount < chain.trigger_min_amount:
        return f"min_amount: {chain.trigger_min_amount} needed, {amount} given"
    if chain.trigger_categories and category not in chain.trigger_categories:
        return f"category: {', '.join(chain.trigger_categories)} needed, {category or 'none'} given"
    if chain.trigger_tiers and tier_level is not None and tier_level not in chain.trigger_tiers:
        return f"tier: {', '.join(map(str, chain.trigger_tiers))} needed, {tier_level} given"
    weekday = at.astimezone(zone).isoweekday()
    if chain.trigger_weekdays and weekday not in chain.trigger_weekdays:
        return f"weekday: {', '.join(map(str, chain.trigger_weekdays))} needed, {weekday} given"
    return None
