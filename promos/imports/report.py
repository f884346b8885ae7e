"""What is told of an import: counts, and a file of the rows that were refused."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from io import TextIOBase
from pathlib import Path

from django.utils.translation import gettext as _

from svoykrug.money import ZERO

from .cells import shown
from .errors import FileRefused, Rejection

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(slots=True)
class ImportReport:
    """read = created + duplicates + rejected + refunds + parked; `amount` is the net sum stored, ₽."""

    read: int = 0
    created: int = 0
    duplicates: int = 0
    rejected: int = 0
    refunds: int = 0
    parked: int = 0
    amount: Decimal = ZERO
    members_created: int = 0
    by_code: Counter[str] = field(default_factory=Counter)

    def add(self, other: "ImportReport") -> None:
        for name in (
            "read",
            "created",
            "duplicates",
            "rejected",
            "refunds",
            "parked",
            "amount",
            "members_created",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.by_code.update(other.by_code)

    def line(self) -> str:
        """Return the last line of the command, which scripts read."""
        return (
            f"read={self.read} created={self.created} duplicates={self.duplicates} rejected={self.rejected} "
            f"refunds={self.refunds} parked={self.parked} amount={self.amount:.2f}"
        )


def disarm(cell: str) -> str:
    """Return the cell so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


class ErrorFile:
    """A CSV file of refused rows: line, column, code, reason, then the row's own cells, cut short."""

    def __init__(self, path: Path | None, header: list[str]) -> None:
        self._stream: TextIOBase | None = None
        if path is None:
            return
        try:
            # Spreadsheets take UTF-8 for UTF-8 only with a byte order mark.
            self._stream = path.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise FileRefused(
                _("The error file %(path)s cannot be written: %(why)s.")
                % {"path": path, "why": error.strerror}
            ) from error
        self._writer = csv.writer(self._stream)
        self._writer.writerow(disarm(cell) for cell in ["line", "column", "code", "reason", *header])

    def write(self, rejections: Iterable[Rejection]) -> None:
        if self._stream is None:
            return
        for found in rejections:
            cells = [shown(disarm(cell)) for cell in found.cells]
            self._writer.writerow([found.line, found.column, found.code, disarm(found.reason), *cells])

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
