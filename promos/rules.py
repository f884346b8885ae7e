"""Coupons and chains, with no database: specification, rules.md, Coupons and Cross-promotion chains."""

import hashlib
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from svoykrug.money import round_half_up

from .models import Benefit, Coupon

if TYPE_CHECKING:
    from .services.chain_state import Chain

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 10
# Cyrillic letters are what a Russian keyboard gives for the Latin ones that look the same.
LOOKALIKES = str.maketrans(
    {"O": "0", "I": "1", "L": "1", "-": None, "\u2010": None, "\u2011": None, "\u2013": None, "\u2014": None}
    | dict(zip("АВЕКМНОРСТХ", "ABEKMH0PCTX", strict=True))
)


def check_character(body: str) -> str:
    """Return the Luhn mod 32 check character.

    It catches every single wrong character, and every two neighbours changed about but 0 with Z.
    """
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
    code = "".join(typed.upper().translate(LOOKALIKES).split())
    if len(code) != CODE_LENGTH or any(character not in CROCKFORD for character in code):
        return None
    return code if check_character(code[:-1]) == code[-1] else None


def benefit_fault(benefit: str, value: Decimal, text: str) -> tuple[str, str] | None:
    """Return the field and what is wrong with what a coupon is to give, or None."""
    if benefit == Benefit.PERCENT and not 0 < value <= 100:
        return "value", _("Between 0 and 100 per cent.")
    if benefit == Benefit.FIXED and value <= 0:
        return "value", _("Above 0 roubles.")
    if benefit == Benefit.MULTIPLIER and value <= 1:
        return "value", _("Above 1: by 1 nothing is multiplied.")
    if benefit == Benefit.GIFT and not text.strip():
        return "text", _("Say what the gift is.")
    return None


class CouponState(StrEnum):
    """A coupon as people see it now, whether or not the nightly job has marked what has run out."""

    LIVE = "live"
    NOT_YET_VALID = "not_yet_valid"
    USED = "used"
    EXPIRED = "expired"
    VOIDED = "voided"


def coupon_state(coupon: Coupon, *, at: datetime) -> CouponState:
    if coupon.status == Coupon.Status.REDEEMED:
        return CouponState.USED
    if coupon.status == Coupon.Status.VOIDED:
        return CouponState.VOIDED
    if at >= coupon.valid_until:
        return CouponState.EXPIRED
    return CouponState.NOT_YET_VALID if at < coupon.valid_from else CouponState.LIVE


def coupon_faults(
    coupon: Coupon, *, member_id: UUID | None, business_id: UUID, amount: Decimal | None, at: datetime
) -> Iterator[tuple[str, str]]:
    """Yield why the coupon may not be redeemed, as (stable code, words); nothing if it may.

    member_id, amount  None where nobody asks about them

    A coupon past its time is out of date whether or not the nightly job has marked it so; and a
    purchase that reaches us late may have been made in time.
    """
    if member_id is not None and coupon.member_id != member_id:
        yield "other_member", _("The coupon belongs to another member.")
    if coupon.business_id != business_id:
        yield "other_business", _("The coupon is for another business.")
    if coupon.status == Coupon.Status.REDEEMED:
        yield "redeemed", _("The coupon has been used already.")
    elif coupon.status == Coupon.Status.VOIDED:
        yield "voided", _("The coupon has been cancelled.")
    elif at < coupon.valid_from:
        yield "not_yet_valid", _("The coupon is not valid yet.")
    elif at >= coupon.valid_until:
        yield "out_of_date", _("The coupon has run out.")
    if amount is not None and amount < coupon.min_amount:
        words = {"needed": f"{coupon.min_amount:.2f}", "given": f"{amount:.2f}"}
        yield "min_amount", _("The coupon needs a bill of %(needed)s or more; this one is %(given)s.") % words


def in_holdout(chain_id: UUID, member_id: UUID, percent: Decimal) -> bool:
    """Whether the member belongs to the chain's control group: stable, by `sha256(chain_id + user_id)`."""
    digest = hashlib.sha256(f"{chain_id}{member_id}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * 2**64


def trigger_refusal(
    chain: "Chain",
    *,
    amount: Decimal,
    categories: Collection[str],
    tier_level: int | None,
    at: datetime,
    zone: ZoneInfo,
) -> str | None:
    """Return the first condition of the chain that the purchase does not meet, or None.

    categories  of the receipt's lines; of one without lines its own
    tier_level  None where it is not known yet and any will do

    Looks at the purchase alone; what needs the member's history is decided by the checkout.
    """
    if amount < chain.trigger_min_amount:
        return f"min_amount: {chain.trigger_min_amount} needed, {amount} given"
    if chain.trigger_categories and not any(name in chain.trigger_categories for name in categories):
        given = ", ".join(name or "none" for name in dict.fromkeys(categories))
        return f"category: {', '.join(chain.trigger_categories)} needed, {given} given"
    if chain.trigger_tiers and tier_level is not None and tier_level not in chain.trigger_tiers:
        return f"tier: {', '.join(map(str, chain.trigger_tiers))} needed, {tier_level} given"
    weekday = at.astimezone(zone).isoweekday()
    if chain.trigger_weekdays and weekday not in chain.trigger_weekdays:
        return f"weekday: {', '.join(map(str, chain.trigger_weekdays))} needed, {weekday} given"
    return None


def refunded_share(left: Decimal, *, returned: Decimal, of: Decimal) -> Decimal:
    """Return what of a share goes back with a refund, roubles; the refund that returns all takes all of it.

    left      of the share, after earlier refunds
    returned  of the discount by this refund, `of` what was left of it
    """
    if returned >= of:
        return left
    return round_half_up(left * returned / of)
