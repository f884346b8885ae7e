"""What a report may be asked for, with faults told at the field."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from analytics.periods import long_day

# RFM of a day looks a year back, and facts are kept two.
YEAR = timedelta(days=365)


class DayField(forms.DateField):
    """A day as the browser's own field sends it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
        super().__init__(widget=widget, input_formats=["%Y-%m-%d"], **kwargs)


class SpanOfDays(forms.Form):
    """Two days within the last year, the earlier one first."""

    earlier = DayField(label=_("Then"))
    later = DayField(label=_("Now"))

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.today = today

    def clean_earlier(self) -> date:
        return self._within("earlier")

    def clean_later(self) -> date:
        return self._within("later")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        earlier, later = cleaned.get("earlier"), cleaned.get("later")
        if earlier and later and earlier >= later:
            self.add_error("earlier", _("This day must come before the other one."))
        return cleaned

    def _within(self, name: str) -> date:
        day: date = self.cleaned_data[name]
        if not self.today - YEAR <= day <= self.today:
            raise forms.ValidationError(
                _("Choose a day from %(first)s to %(last)s."),
                params={"first": long_day(self.today - YEAR), "last": long_day(self.today)},
            )
        return day


class OneDay(forms.Form):
    """A day on which bonuses may be counted: within the two years that the ledger's facts are kept."""

    on = DayField(label=_("On the morning of"))

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.today = today

    def clean_on(self) -> date:
        day: date = self.cleaned_data["on"]
        # Lots live a year, so only a day within the last year has all of them in the facts.
        if not self.today - YEAR <= day <= self.today + timedelta(days=1):
            raise forms.ValidationError(
                _("Choose a day from %(first)s to %(last)s."),
                params={
                    "first": long_day(self.today - YEAR),
                    "last": long_day(self.today + timedelta(days=1)),
                },
            )
        return day
