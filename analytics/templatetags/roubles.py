"""Sums of reports: whole roubles, for kopecks of a year's turnover only stand in the way."""

from decimal import Decimal

from django import template

from loyalty.templatetags.money import grouped, rub

register = template.Library()


@register.filter
def whole_rub(amount: Decimal) -> str:
    return rub(Decimal(amount).quantize(Decimal(1)))


@register.filter
def whole_sum(amount: Decimal) -> str:
    """The number alone, where the column names the unit."""
    return grouped(Decimal(amount).quantize(Decimal(1)))
