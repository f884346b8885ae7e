"""What is wrong with a file, and what is wrong with one of its rows."""

from typing import Any, NamedTuple

from svoykrug.errors import DomainError


class FileRefused(DomainError):
    """The file cannot be understood as a whole; nothing of it is stored."""

    code = "file_refused"
    status = 422


class CellFault(ValueError):
    """A cell that cannot be read: a stable code and a reason for people."""

    def __init__(self, code: str, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.column = column


class Rejection(NamedTuple):
    """A row that was not loaded. `stored` is the earlier body of a receipt that came with other content."""

    line: int
    column: str
    code: str
    reason: str
    cells: list[str]
    stored: dict[str, Any] | None = None
