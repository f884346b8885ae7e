"""Log lines of production: one JSON object each, with the request's id and without anybody's data.

What a line says is ours; what an exception says may hold values of a request or of a row. So contacts
are masked in every text, and in an exception's words also what PostgreSQL adds in detail and whatever
stands in quotes. The traceback shows our code and no values.
"""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

from svoykrug.db.actor import current_actor

HIDDEN = "•••"
# Russian numbers as people and machines write them, and whatever begins with a plus.
CONTACTS = re.compile(
    r"\+\d[\d ()-]{7,}\d|(?<![\w-])[78][ (-]*\d{3}[ )-]*\d{3}[ -]?\d\d[ -]?\d\d(?![\w-])"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)
# Keys and tokens, wherever they may come from.
SECRETS = re.compile(r"\bsk_(?:live|test)_\w+|\bwhsec_[\w+/=]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
DETAIL = re.compile(r"^(DETAIL|CONTEXT|HINT|LINE \d+|PARAMETERS): .*(?:\n(?![A-Z]+: ).*)*", re.MULTILINE)
QUOTED = re.compile(r"'[^'\n]*'|«[^»\n]*»|“[^”\n]*”")
# PostgreSQL names constraints and columns so, which stay, and after a colon gives a value.
IN_DOUBLE_QUOTES = re.compile(r'(: )?"([^"\n]*)"')
NAME = re.compile(r"[a-z0-9_.]+")


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message, request_id where there is one, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(_message(record)),
        }
        if (actor := current_actor()) and actor.request_id:
            line["request_id"] = actor.request_id
        elif request_id := getattr(getattr(record, "request", None), "id", ""):
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _told(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def masked(text: str) -> str:
    """Return the text without phones, e-mail addresses, keys and tokens."""
    return SECRETS.sub(HIDDEN, CONTACTS.sub(HIDDEN, text))


def _message(record: logging.LogRecord) -> str:
    if isinstance(record.args, tuple):
        record.args = tuple(_words(each) if isinstance(each, BaseException) else each for each in record.args)
    elif record.name == "celery.app.trace" and isinstance(record.args, dict) and "exc" in record.args:
        # Celery writes the exception out; its kind is enough here, its words stand masked in `exception`.
        kind = str(record.args["exc"]).partition("(")[0]
        return str(record.msg) % {**record.args, "exc": kind}
    return record.getMessage()


def _words(error: BaseException) -> str:
    text = QUOTED.sub(HIDDEN, DETAIL.sub(rf"\1: {HIDDEN}", str(error)))
    return masked(IN_DOUBLE_QUOTES.sub(_name_or_hidden, text)).strip()


def _name_or_hidden(quoted: re.Match[str]) -> str:
    colon, inside = quoted.groups(default="")
    return quoted[0] if NAME.fullmatch(inside) and not colon else colon + HIDDEN


def _told(error: BaseException) -> str:
    """Return the exception with what led to it, the first cause first."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(
        f"{''.join(traceback.format_tb(each.__traceback__))}{type(each).__qualname__}: {_words(each)}"
        for each in reversed(chain)
    )
