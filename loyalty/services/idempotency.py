"""Idempotency-Key: a call that is repeated is answered alike and done once.

Rule: specification api.md, "Every non-safe call may carry Idempotency-Key". The answer is kept in
the transaction of what the call wrote, so a server that dies leaves both or neither
(docs/decisions/0020).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from loyalty.errors import IdempotencyKeyReused, InProgress, KeptAnswerUnreadable
from loyalty.models import KeptAnswer
from loyalty.services.limits import keyed_hash
from svoykrug.db.models import uuid7
from svoykrug.db.sql import read
from svoykrug.encryption import InvalidToken, decrypt, encrypt

# Enough to see that a value changed; half of a dictionary of phones would share each digest.
DIGEST_CHARACTERS = 16
# A body with more values than this is compared by the fields of its top level.
MOST_FIELDS = 400
DEEPEST_FIELD = 8
FORGET_AT_ONCE = 5_000

# The lock goes with the transaction, so a server that dies never leaves a call in progress.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
KEPT = """
    SELECT call, fields::text, status, headers::text, answer FROM idempotency_keys
    WHERE caller = %s AND key = %s AND created_at > %s
"""
KEEP = """
    INSERT INTO idempotency_keys (id, created_at, caller, key, call, fields, status, headers, answer)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (caller, key) DO UPDATE SET (id, created_at, call, fields, status, headers, answer) =
        (EXCLUDED.id, EXCLUDED.created_at, EXCLUDED.call, EXCLUDED.fields, EXCLUDED.status,
         EXCLUDED.headers, EXCLUDED.answer)
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its caller may repeat it.

    fields  see KeptAnswer
    """

    caller: str
    key: str
    call: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def call_of(*, caller: str, key: str, method: str, path: str, body: Any) -> Call:
    """Return the call with the digests of everything its body says.

    body  as parsed: spaces and the order of names do not matter
    """
    fields = dict(islice(_leaves(body, ""), MOST_FIELDS + 1))
    if len(fields) > MOST_FIELDS:
        fields = {name: _digest(value) for name, value in body.items()} if isinstance(body, dict) else {}
        fields = fields or {"": _digest(body)}
    return Call(caller=caller, key=key, call=f"{method} {path}"[:300], fields=fields)


def first_answer(call: Call, *, at: datetime) -> Answer | None:
    """Return the answer kept for this call; None: it is the first, and `keep` may follow.

    Needs a transaction; until its end the key is this call's alone.
    Raises InProgress while a twin is being answered, IdempotencyKeyReused for other content.
    """
    since = at - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    (locked,), kept = read((LOCK, [f"{call.caller} {call.key}"]), (KEPT, [call.caller, call.key, since]))
    if not locked[0]:
        raise InProgress(_("The same key is being answered now. Repeat in a moment."), retry_after=1)
    if not kept:
        return None
    stored_call, fields, status, headers, encrypted = kept[0]
    if stored_call != call.call:
        raise IdempotencyKeyReused(_("The key was used for another call."), field="Idempotency-Key")
    if differing := _differing(orjson.loads(fields), call.fields):
        raise IdempotencyKeyReused(_("The key was used with other content."), fields=differing)
    try:
        body = decrypt(encrypted).encode()
    except InvalidToken:
        raise KeptAnswerUnreadable(
            _("The first answer cannot be read any more. Ask for its outcome.")
        ) from None
    return Answer(status, orjson.loads(headers), body)


def keep(call: Call, answer: Answer, *, at: datetime) -> None:
    """Keep the answer, in the transaction in which `first_answer` found none."""
    values: list[Any] = [
        uuid7(), at, call.caller, call.key, call.call, orjson.dumps(call.fields).decode(), answer.status,
        orjson.dumps(answer.headers).decode(), encrypt(answer.body.decode()),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(KEEP, values)


def forget_answers(*, at: datetime) -> int:
    """Delete the answers that are no longer given, some thousands at a time; return how many."""
    old = KeptAnswer.objects.filter(created_at__lte=at - timedelta(hours=settings.IDEMPOTENCY_HOURS))
    forgotten = 0
    while found := list(old.order_by("created_at").values_list("pk", flat=True)[:FORGET_AT_ONCE]):
        forgotten += KeptAnswer.objects.filter(pk__in=found).delete()[0]
    return forgotten


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    named: Any = ()
    if isinstance(value, dict) and depth < DEEPEST_FIELD:
        named = value.items()
    elif isinstance(value, list) and depth < DEEPEST_FIELD:
        named = enumerate(value)
    if not named:
        yield path, _digest(value)
    for name, inner in named:
        yield from _leaves(inner, f"{path}.{name}" if path else str(name), depth + 1)


def _digest(value: Any) -> str:
    """Keyed, because a phone or a code is guessed from a plain digest."""
    return keyed_hash(json.dumps(value, default=str, sort_keys=True))[:DIGEST_CHARACTERS]


def _differing(first: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in first.keys() | now.keys() if first.get(name) != now.get(name))
