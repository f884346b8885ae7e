"""Cells of reports outside of a table."""

from typing import Any

from django import template

from analytics.tables import share_shown

register = template.Library()


@register.filter
def share(value: Any) -> str:
    """Return a part of 1 in per cent."""
    return share_shown(value)
