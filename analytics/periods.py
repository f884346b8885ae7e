"""The period that a report shows, and the one of the same length before it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.formats import date_format

CHOICES = (30, 90, 365)
DEFAULT = 90
RETENTION_YEARS = 2


@dataclass(frozen=True)
class Period:
    """The local days [start, end); `end` is tomorrow, so that today counts."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def before(self) -> "Period":
        return Period(self.start - timedelta(days=self.days), self.start)

    @property
    def starts_at(self) -> datetime:
        return _first_moment(self.start)

    @property
    def ends_at(self) -> datetime:
        return _first_moment(self.end)

    def __str__(self) -> str:
        return f"{long_day(self.start)} – {long_day(self.last)}"


def chosen_period(days: str, *, at: datetime, default: int = DEFAULT) -> Period:
    """Return the last `days` days as typed in the address; anything but a choice is the default."""
    length = int(days) if days in {str(choice) for choice in CHOICES} else default
    tomorrow = timezone.localdate(at) + timedelta(days=1)
    return Period(tomorrow - timedelta(days=length), tomorrow)


def oldest_kept(at: datetime) -> datetime:
    """Return the moment from which ClickHouse keeps facts for another day at least."""
    at = at.astimezone(UTC)
    day = min(at.day, 28) if at.month == 2 else at.day
    return at.replace(year=at.year - RETENTION_YEARS, day=day) + timedelta(days=1)


def months_before(day: date, months: int) -> date:
    """Return the first day of the month so many months before that of `day`."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def long_day(day: date) -> str:
    return date_format(day, "j E Y")


def short_day(day: date) -> str:
    return date_format(day, "j b")


def _first_moment(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_default_timezone())
