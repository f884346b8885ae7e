"""Messages about coupons in words, put together when they are read: in the reader's language."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext

from promos.coupon_wording import benefit_words, last_moment
from promos.models import Coupon

GIVEN, ISSUED, EXPIRING = "coupon_given", "coupon_issued", "coupon_expiring"


def message_words(template: str, payload: dict[str, Any]) -> tuple[str, str]:
    """Return title and text of a queued message about a coupon.

    Raises KeyError for a template that is not about coupons.
    """
    return {GIVEN: _given, ISSUED: _issued, EXPIRING: _expiring}[template](payload)


def _given(payload: dict[str, Any]) -> tuple[str, str]:
    title = gettext("A coupon from “%(business)s”") % payload
    return title, _text(payload)


def _issued(payload: dict[str, Any]) -> tuple[str, str]:
    """A chain's, which has come by a purchase at another business."""
    if "source" not in payload:  # Queued before messages named it.
        return _given(payload)
    return _given(payload)[0], gettext("Because you bought at “%(source)s”.") % payload + " " + _text(payload)


def _expiring(payload: dict[str, Any]) -> tuple[str, str]:
    days = payload["days"]
    if days <= 0:
        title = gettext("Today is the last day of the coupon for “%(business)s”") % payload
    else:
        title = ngettext(
            "%(days)d day left for the coupon for “%(business)s”",
            "%(days)d days left for the coupon for “%(business)s”",
            days,
        ) % {"days": days, "business": payload["business"]}
    return title, _text(payload)


def _text(payload: dict[str, Any]) -> str:
    coupon = Coupon(
        benefit=payload["benefit"], benefit_value=Decimal(payload["value"]), benefit_text=payload["text"]
    )
    day = date_format(last_moment(datetime.fromisoformat(payload["valid_until"])), "j E")
    words = {"benefit": capfirst(benefit_words(coupon)[2]), "day": day}
    return gettext("%(benefit)s, to %(day)s. Show the code to the cashier before you pay.") % words
