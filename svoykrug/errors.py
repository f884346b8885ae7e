"""The base of every refusal made on purpose; api surfaces turn it into a problem document."""

from typing import Any


class DomainError(Exception):
    """A rule of the programme says no, and nothing has changed.

    code     stable and public: integrators branch on it
    status   the HTTP status it maps to
    details  values a program may use, JSON-ready; `fields`, of several, are names or words by name
    """

    code = "invalid"
    status = 400

    def __init__(self, detail: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.details = details
