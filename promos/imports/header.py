"""The first record of a file: which column is where, and which profile the file was written by."""

import gzip
import itertools
from collections.abc import Mapping
from pathlib import Path

from django.utils.translation import gettext as _

from .cells import SPACES, amount_understood, date_form, shown
from .errors import FileRefused
from .profiles import DEFAULT, FIELDS, OPTIONAL_FIELDS, PROFILES, Profile
from .reader import BLANK, FileRecord, open_bytes, read_records

PROBED_ROWS = 200


def read_header(path: Path, profile: Profile, *, business_given: bool) -> tuple[dict[str, int], list[str]]:
    """Return field → column number, and the header as written. Raises FileRefused with what is missing.

    Where not one of the first rows' dates or amounts is understood, while another profile
    understands some, the file is refused as a whole: it was written by other rules.
    """
    head = list(itertools.islice(read_records(path, profile), PROBED_ROWS + 1))
    header = next((record for record in head if record.fault != BLANK), None)
    if header is None:
        raise FileRefused(_("The file has no header and no rows."))
    if header.fault:
        raise FileRefused(_("Line %d, the header, cannot be read.") % header.line)
    columns = _columns(header, profile, business_given=business_given, path=path)
    rows = [record for record in head if record.line > header.line]
    _check_understood(path, profile, columns, rows)
    return columns, [shown(cell) for cell in header.cells]


def _columns(record: FileRecord, profile: Profile, *, business_given: bool, path: Path) -> dict[str, int]:
    names = [cell.strip(SPACES).lower() for cell in record.cells]
    columns: dict[str, int] = {}
    unknown = []
    for number, name in enumerate(names):
        known = profile.columns.get(name)
        if known is None:
            unknown.append(shown(record.cells[number]))
        elif known in columns:
            raise FileRefused(_("The header names %s twice.") % known)
        else:
            columns[known] = number
    needed = set(FIELDS) - OPTIONAL_FIELDS - ({"business_ref"} if business_given else set())
    missing = [name for name in FIELDS if name in needed - columns.keys()]
    if not columns:
        raise FileRefused(
            _("Line %(line)d is not a header that profile %(profile)s knows: %(cell)s. Expected: %(names)s. ")
            % {
                "line": record.line, "profile": profile.name, "cell": shown(record.cells[0]),
                "names": profile.delimiter.join(_header_names(profile)),
            },
            hint=True,
        )  # fmt: skip
    if missing or unknown:
        parts = [_("missing: %s") % ", ".join(missing)] if missing else []
        parts += [_("unknown: %s") % ", ".join(unknown[:10])] if unknown else []
        raise FileRefused(_("The header is not understood; %s. ") % "; ".join(parts), hint=True)
    return columns


def _header_names(profile: Profile) -> list[str]:
    by_field: dict[str, str] = {}
    for name, known in profile.columns.items():
        by_field.setdefault(known, name)
    return [by_field[name] for name in FIELDS]


def _check_understood(
    path: Path, profile: Profile, columns: Mapping[str, int], rows: list[FileRecord]
) -> None:
    dates = _cells(rows, columns["purchased_at"])
    if dates and not any(date_form(cell, profile) for cell in dates):
        others = [p.name for p in PROFILES.values() if any(date_form(cell, p) for cell in dates)]
        if others:
            raise FileRefused(
                _("None of the first %(count)d dates is understood: %(cell)s is not like %(example)s. ")
                % {"count": len(dates), "cell": shown(dates[0]), "example": " / ".join(profile.dates)},
                hint=True,
            )
    amounts = _cells(rows, columns["amount"])
    if amounts and not any(amount_understood(cell, profile) for cell in amounts):
        others = [p.name for p in PROFILES.values() if any(amount_understood(cell, p) for cell in amounts)]
        if others:
            raise FileRefused(
                _("None of the first %(count)d amounts is understood, %(cell)s for one. ")
                % {"count": len(amounts), "cell": shown(amounts[0])},
                hint=True,
            )


def _cells(rows: list[FileRecord], number: int) -> list[str]:
    found = (record.cells[number].strip(SPACES) for record in rows if len(record.cells) > number)
    return [cell for cell in found if cell]


def suggestion(path: Path, *, but: Profile) -> str:
    """Return a sentence naming the profiles that understand the file's beginning, or saying none does."""
    fitting = [profile.name for profile in PROFILES.values() if profile != but and _fits(path, profile)]
    if fitting:
        return _("A profile that may fit: --profile %s") % _(" or ").join(fitting)
    return _("No other profile fits either; the known ones: %s") % ", ".join(
        profile.name for profile in PROFILES.values() if profile not in (but, DEFAULT)
    )


def _fits(path: Path, profile: Profile) -> bool:
    try:
        with open_bytes(path) as stream:
            beginning = stream.read(1 << 16)
        is_text = _decodes(beginning, "utf-8")
        if not beginning.isascii() and is_text != profile.is_utf8:
            return False
        columns, _header = read_header(path, profile, business_given=True)
        head = list(itertools.islice(read_records(path, profile), 1, PROBED_ROWS))
    except (FileRefused, UnicodeDecodeError, EOFError, gzip.BadGzipFile):
        return False
    dates, amounts = _cells(head, columns["purchased_at"]), _cells(head, columns["amount"])
    return any(date_form(cell, profile) for cell in dates) and any(
        amount_understood(cell, profile) for cell in amounts
    )


def _decodes(beginning: bytes, encoding: str) -> bool:
    try:
        beginning.decode(encoding)
    except UnicodeDecodeError as error:
        # The last character may be cut by the end of the sample.
        return error.start > len(beginning) - 4 and len(beginning) == 1 << 16
    return True
