"""One cell at a time: strict readers of amounts, dates and references.

Whatever is not plainly what it should be raises CellFault; nothing is repaired but outer spaces.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from svoykrug.money import ZERO, round_half_up

from .errors import CellFault
from .profiles import DateForm, Profile

# Ordinary and no-break spaces only: a tab or a zero-width space is no accident of typing.
SPACES = " \u00a0\u202f"
SHOWN = 40

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})")
_DAY_FIRST = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})(?: ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?")
_SERIAL = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,12})?")
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  Excel's day numbers know no zone
# Excel counts a 29.02.1900 that never was; day numbers are right only after it.
_FIRST_SOUND_SERIAL = 61

LOOKALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТУХЬаеоѕіјрсухьΑΒΕΖΗΙΚΜΝΟΡΤΥΧον",
        "ABESIJKMHOPCTYXbaeosijpcyxbABEZHIKMNOPTYXov",
        strict=True,
    )
)
# Letters, digits and signs that a receipt, a card or a code is made of; all else is named and refused.
_SOUND_CATEGORIES = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
                     "Sm", "Sc", "Sk", "So"}  # fmt: skip
_CONTROL_NAMES = {0: "NUL", 9: "TAB", 10: "LINE FEED", 13: "CARRIAGE RETURN"}


def shown(cell: str) -> str:
    """Return the cell as a report may repeat it: short, on one line, without NUL."""
    short = cell if len(cell) <= SHOWN else cell[: SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else "\ufffd" for c in short)


def character_name(character: str) -> str:
    """Return `U+0412 CYRILLIC CAPITAL LETTER VE`."""
    code = ord(character)
    name = unicodedata.name(character, "") or _CONTROL_NAMES.get(code, "CONTROL CHARACTER")
    return f"U+{code:04X} {name}"


def read_reference(cell: str, *, longest: int) -> str:
    """Return a receipt, card or business code without outer spaces; it may be empty."""
    text = cell.strip(SPACES)
    if len(text) > longest:
        raise _too_long(text, longest)
    if text.isascii() and text.isprintable():
        return text
    for character in text:
        if character != " " and unicodedata.category(character) not in _SOUND_CATEGORIES:
            raise CellFault("odd_character", _("contains %s") % character_name(character))
    if alike := lookalike(text):
        latin = any(c.isascii() and c.isalpha() for c in text)
        if latin:
            raise CellFault("lookalike", alike)
    return text


def lookalike(text: str) -> str:
    """Return a sentence on the first letter that only looks Latin, or nothing."""
    for character in text:
        if latin := LOOKALIKES.get(character):
            return _("%(name)s looks like %(latin)s") % {"name": character_name(character), "latin": latin}
    return ""


def read_text(cell: str, *, longest: int) -> str:
    """Return free text as it stands; only what the database cannot hold is refused."""
    if len(cell) > longest:
        raise _too_long(cell, longest)
    if "\x00" in cell:
        raise CellFault("odd_character", _("contains %s") % character_name("\x00"))
    return cell.strip(SPACES)


def _too_long(text: str, longest: int) -> CellFault:
    reason = _("%(size)d characters, at most %(longest)d") % {"size": len(text), "longest": longest}
    return CellFault("text_too_long", reason)


# --- Amounts -------------------------------------------------------------------------------------


def amount_reader(profile: Profile, *, limit: Decimal) -> Callable[[str], Decimal]:
    """Return the reader of the profile's amounts: above zero, two decimals at most, up to `limit`."""
    pattern = _amount_pattern(profile, decimals="{1,2}")
    longer = _amount_pattern(profile, decimals="*")
    example = "83,40" if profile.decimal_comma else "83.40"

    def read(cell: str) -> Decimal:
        text = cell.strip(SPACES)
        if pattern.fullmatch(text):
            amount = round_half_up(Decimal(_plain(text, profile))) if len(text) <= SHOWN else limit + 1
            if ZERO < amount <= limit:
                return amount
            if amount > limit:
                raise CellFault("amount_too_large", _("above %(limit)s") % {"limit": limit})
            raise CellFault("amount_not_positive", _("the amount must be above zero"))
        if not text:
            raise CellFault("amount_missing", _("the amount is empty"))
        if text[0] in "-\u2212" and longer.fullmatch(text[1:]):
            raise CellFault(
                "amount_not_positive",
                _("the amount is negative; a refund is a row of its own kind with a positive amount"),
            )
        if longer.fullmatch(text):
            raise CellFault("amount_invalid", _("%s has more than two decimals") % shown(text))
        raise CellFault(
            "amount_invalid",
            _("%(cell)s is not an amount such as %(example)s") % {"cell": shown(text), "example": example},
        )

    return read


def amount_understood(cell: str, profile: Profile) -> bool:
    return bool(_amount_pattern(profile, decimals="{1,2}").fullmatch(cell.strip(SPACES)))


def _amount_pattern(profile: Profile, *, decimals: str) -> re.Pattern[str]:
    whole = r"[0-9]+"
    if profile.thousands:
        whole = rf"(?:[0-9]{{1,3}}(?:[{SPACES}][0-9]{{3}})+|[0-9]+)"
    point = "," if profile.decimal_comma else r"\."
    return re.compile(rf"{whole}(?:{point}[0-9]{decimals})?")


def _plain(text: str, profile: Profile) -> str:
    if profile.thousands:
        text = "".join(c for c in text if c not in SPACES)
    return text.replace(",", ".") if profile.decimal_comma else text


# --- Dates ---------------------------------------------------------------------------------------


def date_reader(profile: Profile, *, zone: ZoneInfo) -> Callable[[str], datetime]:
    """Return the reader of the profile's dates. What it returns is aware and within years 1900 to 2100."""

    def read(cell: str) -> datetime:
        text = cell.strip(SPACES)
        form = date_form(text, profile)
        if form is None:
            if not text:
                raise CellFault("date_missing", _("the date is empty"))
            examples = " / ".join(form.value for form in profile.dates)
            raise CellFault(
                "date_invalid",
                _("%(cell)s is not a date such as %(example)s") % {"cell": shown(text), "example": examples},
            )
        try:
            moment = _READERS[form](text)
        except (ValueError, OverflowError):
            raise CellFault("date_invalid", _("there is no such day or hour: %s") % shown(text)) from None
        # Before any arithmetic: an offset moves year 1 and year 9999 out of the calendar.
        if not 1900 <= moment.year <= 2100:
            raise CellFault("date_out_of_range", _("the year %d is out of range") % moment.year)
        return moment if moment.tzinfo else _in_zone(moment, zone, text)

    return read


def date_form(text: str, profile: Profile) -> DateForm | None:
    """Return the profile's form that the text is written in."""
    for form in profile.dates:
        if _PATTERNS[form].fullmatch(text):
            return form
    return None


def _in_zone(moment: datetime, zone: ZoneInfo, text: str) -> datetime:
    """Read a wall clock; an hour that came twice in autumn is taken as its first coming."""
    # In UTC from here on: Python calls two spellings of a doubled hour unequal.
    aware = moment.replace(tzinfo=zone).astimezone(UTC)
    if aware.astimezone(zone).replace(tzinfo=None) != moment:
        raise CellFault(
            "date_invalid",
            _("%(cell)s does not exist in %(zone)s: clocks were moved over it")
            % {"cell": shown(text), "zone": zone},
        )
    return aware


def _read_day_first(text: str) -> datetime:
    match = _DAY_FIRST.fullmatch(text)
    assert match
    day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  the zone follows


def _read_serial(text: str) -> datetime:
    days = Decimal(text.replace(",", "."))
    if days < _FIRST_SOUND_SERIAL:
        raise ValueError("before Excel's calendar is sound")
    # A day number of ten digits is a rounded moment: whole seconds are what was meant.
    return _EXCEL_EPOCH + timedelta(seconds=round(days * 86_400))


_PATTERNS = {DateForm.ISO: _ISO, DateForm.DAY_FIRST: _DAY_FIRST, DateForm.EXCEL_SERIAL: _SERIAL}
_READERS: dict[DateForm, Callable[[str], datetime]] = {
    DateForm.ISO: datetime.fromisoformat,
    DateForm.DAY_FIRST: _read_day_first,
    DateForm.EXCEL_SERIAL: _read_serial,
}
