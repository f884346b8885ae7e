"""Roubles, bonuses and per cent as members read them: `1 240 ₽`, `+35`, `3 %`.

Groups and units are held together by a narrow no-break space, so a sum never breaks across lines.
"""

from decimal import Decimal

from django import template
from django.utils.formats import get_format
from django.utils.translation import gettext, ngettext, pgettext

from svoykrug.money import round_half_up

register = template.Library()

NARROW_SPACE = "\u202f"
MINUS = "\u2212"


def grouped(amount: Decimal) -> str:
    """Return `1 240` or `1 240,50`: kopecks only where there are any, the minus a real one."""
    amount = round_half_up(Decimal(amount))
    whole, fraction = f"{abs(amount):,.2f}".split(".")
    text = whole.replace(",", NARROW_SPACE)
    if fraction != "00":
        text += get_format("DECIMAL_SEPARATOR") + fraction
    return f"{MINUS}{text}" if amount < 0 else text


@register.filter
def rub(amount: Decimal) -> str:
    return f"{grouped(amount)}{NARROW_SPACE}₽"


@register.filter
def bonus(amount: Decimal) -> str:
    """The number alone; its word stands beside it or comes from `bonus_words`."""
    return grouped(amount)


@register.filter
def signed_bonus(amount: Decimal) -> str:
    """A gain or a loss by its sign, not by colour alone."""
    return f"+{grouped(amount)}" if amount > 0 else grouped(amount)


@register.filter
def bonus_words(amount: Decimal) -> str:
    """Return `1 бонус`, `2 бонуса`, `1 240 бонусов`, `35,50 бонуса`."""
    return f"{grouped(amount)} {bonus_noun(amount)}"


def bonus_noun(amount: Decimal) -> str:
    if amount != int(amount):
        return pgettext("after a fraction", "bonuses")
    return ngettext("bonus", "bonuses", abs(int(amount)))


@register.filter
def available_words(amount: Decimal) -> str:
    """What stands under the big number on the home page."""
    if amount != int(amount):
        return pgettext("after a fraction", "bonuses available")
    return ngettext("bonus available", "bonuses available", abs(int(amount)))


@register.filter
def whole(amount: Decimal) -> str:
    return grouped(Decimal(int(amount)))


@register.filter
def fraction(amount: Decimal) -> str:
    """Return `,50`, or nothing when there are no kopecks."""
    return grouped(amount).removeprefix(whole(amount))


@register.filter
def percent(value: Decimal) -> str:
    """Return `3 %` in Russian, `3%` in English; no idle zeros."""
    number = f"{Decimal(value).normalize():f}".replace(".", str(get_format("DECIMAL_SEPARATOR")))
    # Translators: per cent as in "3%"; Russian sets a no-break space before the sign.
    return gettext("%(number)s%%") % {"number": number}
