"""The hours in which the programme keeps silent (specification, rules.md, Consent and messages)."""

from datetime import datetime, time, timedelta

from django.conf import settings
from django.utils import timezone


def next_waking_moment(at: datetime) -> datetime:
    """Return `at`, or the end of the quiet hours it falls into, in programme time."""
    local = timezone.localtime(at)
    if settings.QUIET_UNTIL_HOUR <= local.hour < settings.QUIET_FROM_HOUR:
        return at
    day = local.date() + timedelta(days=local.hour >= settings.QUIET_FROM_HOUR)
    return timezone.make_aware(datetime.combine(day, time(settings.QUIET_UNTIL_HOUR)))
