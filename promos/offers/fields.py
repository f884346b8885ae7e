"""Reading of untrusted JSON field by field; every fault is kept with its path."""

import re
from collections.abc import Iterable
from datetime import datetime, time
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext as _

T = TypeVar("T")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2}0*)?")
TOO_LARGE = 10**12


class Faults:
    """(path, message) of everything that is wrong, in the order of the reading."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []


class Reader:
    """One object of the JSON. A field that is absent or null is not asked; unknown ones are faults."""

    def __init__(self, given: Any, path: str, faults: Faults) -> None:
        self.path, self._faults = path, faults
        self._read: set[str] = set()
        self._sound = isinstance(given, dict)
        self._given: dict[str, Any] = given if isinstance(given, dict) else {}
        if not self._sound:
            faults.found.append((path, _("This must be a JSON object.")))

    def fault(self, name: str, message: str) -> None:
        self._faults.found.append((f"{self.path}.{name}", message))

    def done(self, value: T, *, rest_unknown: bool = True) -> T:
        """Name the fields that nobody read, and return the value."""
        if rest_unknown:
            for name in sorted(map(str, self._given.keys() - self._read)):
                self.fault(name, _("There is no such field."))
        return value

    def _take(self, name: str, *, required: bool = False) -> Any:
        self._read.add(name)
        value = self._given.get(name)
        if value is None and required and self._sound:
            self.fault(name, _("This is needed."))
        return value

    def object(self, name: str) -> "Reader | None":
        value = self._take(name)
        return None if value is None else Reader(value, f"{self.path}.{name}", self._faults)

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            self.fault(name, _("This must be true or false."))
        return value is True

    def text(self, name: str, *, most: int) -> str:
        value = self._take(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > most or "\x00" in value:
            self.fault(name, _("This must be a text of at most %(most)d characters.") % {"most": most})
            return ""
        return value.strip()

    def moment(self, name: str) -> datetime | None:
        value = self._take(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            self.fault(name, _("This must be a date and time, as 2026-06-01T00:00:00+03:00."))
            return None
        if not 2000 <= moment.year <= 2100:
            self.fault(name, _("The year must be from 2000 to 2100."))
            return None
        if moment.tzinfo is None or moment.utcoffset() is None:
            self.fault(name, _("The time must carry its offset, as 2026-06-01T00:00:00+03:00."))
            return None
        return moment

    def clock(self, name: str) -> time | None:
        value = self._take(name, required=True)
        if value is None:
            return None
        if not isinstance(value, str) or not CLOCK.fullmatch(value):
            self.fault(name, _("This must be a time of the day, as 14:00."))
            return None
        return time.fromisoformat(value)

    def number(self, name: str, *, above: Decimal, most: Decimal, required: bool = False) -> Decimal | None:
        """Return a number above one bound and at most the other, of two decimals."""
        value = self._take(name, required=required)
        if value is None:
            return None
        number = _decimal(value)
        if number is None:
            self.fault(name, _("This must be a number with at most two decimals."))
        elif number <= above:
            words = {"least": max(above, Decimal(0))}
            self.fault(
                name,
                _("This must be above %(least)s.") % words
                if above >= 0
                else _("This must be %(least)s or more.") % words,
            )
        elif number > most:
            self.fault(name, _("This must be at most %(most)s.") % {"most": most})
        else:
            return number
        return None

    def integer(self, name: str, *, least: int, most: int, required: bool = False) -> int | None:
        value = self._take(name, required=required)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(
                name,
                _("This must be a whole number from %(least)d to %(most)d.") % {"least": least, "most": most},
            )
            return None
        return value

    def key(self, name: str) -> UUID | None:
        value = self._take(name)
        if value is None:
            return None
        try:
            return UUID(value)
        except (TypeError, ValueError, AttributeError):
            self.fault(name, _("This must be the id of an event."))
            return None

    def choice(self, name: str, known: Iterable[str]) -> str:
        """Return one of the known words, or "" for a fault."""
        value = self._take(name, required=True)
        if value is None or (isinstance(value, str) and value in set(known)):
            return value or ""
        self.fault(name, _("This must be one of: %(known)s.") % {"known": ", ".join(known)})
        return ""

    def choices(self, name: str, known: tuple[T, ...]) -> tuple[T, ...]:
        """Return some of the known values, each once, in the order of the known ones."""
        values = self._list(name)
        for number, value in enumerate(values):
            # True is 1 to Python, and not a weekday.
            if isinstance(value, bool) or not isinstance(value, int | str) or value not in known:
                words = {"known": ", ".join(map(str, known))}
                self.fault(f"{name}.{number}", _("This must be one of: %(known)s.") % words)
        return tuple(value for value in known if value in values)

    def texts(self, name: str, *, most: int) -> tuple[str, ...]:
        values = self._list(name)
        if len(values) > most:
            self.fault(name, _("At most %(most)d of these.") % {"most": most})
        for number, value in enumerate(values):
            if not isinstance(value, str) or not value.strip() or len(value) > 200 or "\x00" in value:
                self.fault(f"{name}.{number}", _("This must be a text of at most 200 characters."))
        return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))

    def _list(self, name: str) -> list[Any]:
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(name, _("This must be a list."))
            return []
        if not value:
            self.fault(name, _("The list is empty: leave the field out, or name what you mean."))
        return value


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    # Python refuses to spell a number of thousands of digits.
    if isinstance(value, int) and abs(value) >= TOO_LARGE:
        return Decimal(TOO_LARGE)
    text = str(value).strip()
    return Decimal(text) if NUMBER.fullmatch(text) else None
