"""How to ask a vendor that offers only a list: the address, its pages, and the mark up to which it was read.

It is JSON kept with the integration. Nothing here touches the database or the network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext as _

from .errors import MappingRefused, Unreadable
from .paths import Path, as_text, read_path

FIELDS = {"path", "query", "headers", "items", "size", "mark", "start", "every_minutes"}
PLACES = ("{mark}", "{page}", "{offset}", "{size}", "{token}")
MOST_PER_PAGE, LONGEST_PAUSE_MINUTES = 1000, 1440
MOST_TEXTS, LONGEST_TEXT = 30, 500


@dataclass(frozen=True, slots=True)
class Question:
    """size  items of a full page; mark  where in an item its mark stands; start  the mark to begin with"""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    items: Path
    size: int
    mark: Path
    start: str
    every_minutes: int

    @property
    def has_pages(self) -> bool:
        return any(
            place in text for place in ("{page}", "{offset}") for text in (self.path, *self.query.values())
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the list has been read.

    mark  asked from; it stays while the pages of one answer are read
    seen  the largest mark met on these pages
    """

    mark: str
    page: int = 1
    seen: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"mark": self.mark, "page": self.page, "seen": self.seen}


def read_question(given: Any) -> Question:
    """Return how to ask. Raises MappingRefused, naming the part that has to be mended."""
    if not isinstance(given, dict):
        raise MappingRefused(_("%(field)s: an object {…} is needed.") % {"field": "polling"}, field="polling")
    if unknown := sorted(set(given) - FIELDS):
        raise MappingRefused(
            _("%(field)s: there is no «%(name)s» here; known are %(known)s.")
            % {"field": "polling", "name": unknown[0], "known": ", ".join(sorted(FIELDS))},
            field="polling",
        )
    for name in ("path", "items", "mark", "start"):
        if not isinstance(given.get(name), str):
            raise MappingRefused(
                _("%(field)s is missing.") % {"field": f"polling.{name}"}, field=f"polling.{name}"
            )
    return Question(
        path=given["path"],
        query=_texts(given.get("query", {}), "polling.query"),
        headers=_headers(given.get("headers", {})),
        items=read_path(given["items"], field="polling.items"),
        size=_number(given.get("size", 100), "polling.size", MOST_PER_PAGE),
        mark=read_path(given["mark"], field="polling.mark"),
        start=given["start"],
        every_minutes=_number(given.get("every_minutes", 5), "polling.every_minutes", LONGEST_PAUSE_MINUTES),
    )


def _texts(given: Any, field: str) -> dict[str, str]:
    if not (
        isinstance(given, dict)
        and len(given) <= MOST_TEXTS
        and all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in given.values())
    ):
        raise MappingRefused(_("%(field)s: texts by texts are needed.") % {"field": field}, field=field)
    return given


def _headers(given: Any) -> dict[str, str]:
    headers = _texts(given, "polling.headers")
    for name, text in headers.items():
        if not (name.isascii() and name.replace("-", "").isalnum() and text.isascii() and text.isprintable()):
            raise MappingRefused(
                _("polling.headers: «%(name)s» is no header that can be sent.") % {"name": name},
                field="polling.headers",
            )
        if name.lower() in ("host", "content-length", "transfer-encoding", "connection"):
            raise MappingRefused(
                _("polling.headers: «%(name)s» is ours to say.") % {"name": name}, field="polling.headers"
            )
    return headers


def _number(given: Any, field: str, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= most:
        raise MappingRefused(
            _("%(field)s: a whole number from 1 to %(most)d.") % {"field": field, "most": most}, field=field
        )
    return given


def cursor_of(stored: Mapping[str, Any], question: Question) -> Cursor:
    return Cursor(**stored) if stored else Cursor(question.start)


def address(base_url: str, question: Question, cursor: Cursor, token: str) -> str:
    """Return the whole address of the page to ask for."""
    path = _filled(question.path, question, cursor, quote(token, safe="/"))
    query = {name: _filled(text, question, cursor, token) for name, text in question.query.items()}
    joined = f"{base_url.rstrip('/')}/{path.lstrip('/')}"
    return f"{joined}?{urlencode(query)}" if query else joined


def headers(question: Question, cursor: Cursor, token: str) -> dict[str, str]:
    filled = {name: _filled(text, question, cursor, token) for name, text in question.headers.items()}
    return {"Accept": "application/json", "User-Agent": "svoykrug-crm", **filled}


def _filled(text: str, question: Question, cursor: Cursor, token: str) -> str:
    values = (
        cursor.mark, str(cursor.page), str((cursor.page - 1) * question.size), str(question.size), token,
    )  # fmt: skip
    for place, value in zip(PLACES, values, strict=True):
        text = text.replace(place, value)
    return text


def items_of(answer: Any, question: Question) -> list[bytes]:
    """Return the items of a parsed answer, each as a message of its own. Raises Unreadable."""
    found = question.items.find(answer, answer)
    if not isinstance(found, list):
        raise Unreadable(_("polling.items: there is no list at «%(path)s».") % {"path": question.items.text})
    # Fractions become texts: every digit stays, and the mapping reads either.
    return [
        json.dumps(item, ensure_ascii=False, default=str, sort_keys=True).encode("utf-8", "replace")
        for item in found
    ]


def advanced(cursor: Cursor, answer: Any, question: Question) -> Cursor:
    """Return the cursor after a page. Raises Unreadable where it could never move on."""
    found = question.items.find(answer, answer)
    seen = cursor.seen
    for item in found:
        mark = as_text(question.mark.find(item, item))
        if not mark:
            raise Unreadable(
                _("polling.mark: an item has nothing at «%(path)s».") % {"path": question.mark.text}
            )
        if not seen or _later(mark, seen):
            seen = mark
    latest = seen if seen and _later(seen, cursor.mark) else cursor.mark
    if len(found) < question.size:
        return Cursor(latest)
    if question.has_pages:
        return Cursor(cursor.mark, cursor.page + 1, seen)
    if latest == cursor.mark:
        raise Unreadable(_("A whole page has one and the same mark: ask by {page} or {offset}, too."))
    return Cursor(latest)


def _later(one: str, other: str) -> bool:
    try:
        return Decimal(one) > Decimal(other)
    except InvalidOperation:
        return one > other
