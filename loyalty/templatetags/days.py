"""Days as people say them: today, yesterday, 15 June."""

from datetime import date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

register = template.Library()


@register.filter
def day_words(moment: date | datetime, today: date) -> str:
    """Return the day in the programme's zone; the year only where it is not this one."""
    day = timezone.localdate(moment) if isinstance(moment, datetime) else moment
    days_ago = (today - day).days
    if days_ago == 0:
        return gettext("today")
    if days_ago == 1:
        return gettext("yesterday")
    if days_ago == -1:
        return gettext("tomorrow")
    return date_format(day, "j E" if day.year == today.year else "j E Y")


@register.filter
def last_day(expires_at: datetime, today: date) -> str:
    """Return the last day on which something works that ends at that moment.

    Bonuses expire when their last day ends, which is the first moment of the next one.
    """
    return day_words(expires_at - timedelta(microseconds=1), today)
