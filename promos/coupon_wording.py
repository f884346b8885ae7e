"""Coupons in the words that members read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop, ngettext

from loyalty.qr import qr_svg
from loyalty.templatetags.money import percent, rub
from promos.models import Benefit, Coupon, CouponCampaign
from promos.rules import CouponState, coupon_state

STATES = {
    CouponState.LIVE: gettext_noop("Live"),
    CouponState.NOT_YET_VALID: gettext_noop("Not valid yet"),
    CouponState.USED: gettext_noop("Used"),
    CouponState.EXPIRED: gettext_noop("Out of date"),
    CouponState.VOIDED: gettext_noop("Cancelled"),
}


@dataclass(frozen=True, slots=True)
class CouponCard:
    """A coupon as a member sees it.

    badge    the benefit in a few characters; tone  its colour
    origin   where it came from, as a sentence; empty where nobody knows
    is_soon  its last days have come
    used_in  the purchase; None where it was not used, or the caller did not ask
    """

    business: str
    origin: str
    code: str
    badge: str
    tone: str
    benefit: str
    terms: str
    state: CouponState
    days_left: str
    is_soon: bool
    valid_from: datetime | None
    until: str
    used_in: UUID | None
    used_at: datetime | None
    qr: SafeString


def coupon_card(coupon: Coupon, *, at: datetime) -> CouponCard:
    """Put a coupon into words; its business and chain's source must be loaded."""
    badge, tone, benefit = benefit_words(coupon)
    state = coupon_state(coupon, at=at)
    days = _days_left(coupon.valid_until, at)
    return CouponCard(
        business=coupon.business.name,
        origin=_origin(coupon),
        code=str(coupon),
        badge=badge,
        tone=tone,
        benefit=benefit,
        terms=terms_words(coupon),
        state=state,
        days_left=_days_words(days),
        is_soon=state == CouponState.LIVE and days <= settings.COUPON_WARNING_DAYS,
        valid_from=coupon.valid_from if state == CouponState.NOT_YET_VALID else None,
        until=_until_words(coupon.valid_until),
        used_in=getattr(coupon, "used_in", None),
        used_at=getattr(coupon, "used_at", None),
        qr=qr_svg(coupon.code, border=0),
    )


def benefit_words(given: Coupon | CouponCampaign) -> tuple[str, str, str]:
    """Return the benefit in a few characters, its colour, and in words."""
    value = given.benefit_value
    if given.benefit == Benefit.PERCENT:
        words = {"percent": percent(value)}
        return f"−{percent(value)}", "berry", gettext("%(percent)s off the bill") % words
    if given.benefit == Benefit.FIXED:
        return f"−{rub(value)}", "berry", gettext("%(sum)s off the bill") % {"sum": rub(value)}
    if given.benefit == Benefit.MULTIPLIER:
        times = f"×{_plain(value)}"
        return times, "honey", gettext("%(times)s bonuses for the purchase") % {"times": times}
    return "★", "pine", gettext("A gift: %(gift)s") % {"gift": given.benefit_text}


def terms_words(given: Coupon | CouponCampaign) -> str:
    if not given.min_amount:
        return ""
    return gettext("On a bill of %(sum)s or more") % {"sum": rub(given.min_amount)}


def benefit_payload(given: Coupon | CouponCampaign) -> dict[str, str]:
    """Return what the coupon gives, for a message that is put into words when it is read."""
    return {
        "benefit": given.benefit,
        "value": f"{given.benefit_value:.2f}",
        "text": given.benefit_text,
        "min_amount": f"{given.min_amount:.2f}",
    }


def last_moment(until: datetime) -> datetime:
    """Return the last moment at which a coupon valid until then may be used, in programme time."""
    return timezone.localtime(until - timedelta(microseconds=1))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def state_words(coupon: Coupon, *, at: datetime) -> str:
    """Return the state in a word or two, for lists of staff."""
    return gettext(STATES[coupon_state(coupon, at=at)])


def source_words(coupon: Coupon) -> str:
    """Return the chain, offer or campaign that gave it; empty for a coupon given by hand."""
    if coupon.chain:
        return gettext("chain from “%(business)s”") % {"business": coupon.chain.source_business.name}
    if coupon.offer:
        return gettext("offer “%(offer)s”") % {"offer": coupon.offer.title}
    if campaign := getattr(coupon, "campaign_title", None):
        return gettext("campaign “%(campaign)s”") % {"campaign": campaign}
    return ""


def _origin(coupon: Coupon) -> str:
    if coupon.chain:
        words = {"business": coupon.chain.source_business.name}
        return gettext("Because you bought at “%(business)s”.") % words
    if coupon.offer:
        return gettext("By the offer “%(offer)s”.") % {"offer": coupon.offer.title}
    if campaign := getattr(coupon, "campaign_title", None):
        return gettext("A present from the shop: “%(campaign)s”.") % {"campaign": campaign}
    return ""


def _until_words(until: datetime) -> str:
    """Return the last day, with the hour where it is not the end of the day."""
    last, local = last_moment(until), timezone.localtime(until)
    if last.date() != local.date():
        return gettext("Good through %(day)s") % {"day": date_format(last, "j E")}
    return gettext("Good until %(moment)s") % {"moment": date_format(local, "j E, H:i")}


def _days_left(until: datetime, at: datetime) -> int:
    return (last_moment(until).date() - timezone.localdate(at)).days


def _days_words(days: int) -> str:
    if days <= 0:
        return gettext("last day today")
    return ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
