"""What may be asked of analytics: days within those that are kept, with faults told at the field."""

from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from analytics.movements import MOST_MONTHS
from analytics.periods import Period, long_day, oldest_kept
from svoykrug.serializers import StrictSerializer

DEFAULT_MONTHS = 12


class NothingQuery(StrictSerializer):
    """Takes no parameter."""


class PeriodQuery(StrictSerializer):
    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's own.
        return {
            **super().get_fields(),
            "from": serializers.DateField(
                required=False, input_formats=["%Y-%m-%d"], help_text="The first day, Moscow time."
            ),
            "to": serializers.DateField(
                required=False,
                input_formats=["%Y-%m-%d"],
                help_text="The first day not counted any more; tomorrow, if not given.",
            ),
        }


class CohortsQuery(StrictSerializer):
    months = serializers.IntegerField(
        required=False,
        default=DEFAULT_MONTHS,
        min_value=1,
        max_value=MOST_MONTHS,
        help_text="Months of first purchase, this one included.",
    )


def period_of(asked: dict[str, Any], *, at: datetime, days: int) -> Period:
    """Return the local days asked for.

    asked  from a valid PeriodQuery
    days   how many it is, up to its end, when no beginning is named

    Raises ValidationError, naming the field: only days whose facts are kept have an answer.
    """
    first = timezone.localdate(oldest_kept(at)) + timedelta(days=1)
    tomorrow = timezone.localdate(at) + timedelta(days=1)
    end = _within("to", asked.get("to", tomorrow), first + timedelta(days=1), tomorrow)
    start = asked.get("from") or max(first, end - timedelta(days=days))
    start = _within("from", start, first, tomorrow - timedelta(days=1))
    if start >= end:
        raise ValidationError({"from": [_("This day must come before the other one.")]})
    return Period(start, end)


def _within(field: str, day: date, first: date, last: date) -> date:
    if not first <= day <= last:
        words = {"first": long_day(first), "last": long_day(last)}
        raise ValidationError({field: [_("Choose a day from %(first)s to %(last)s.") % words]})
    return day
