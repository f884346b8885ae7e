"""Statements by hand for the paths that many requests or many rows go through."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Self
from uuid import UUID

import orjson
from django.db import connection

from svoykrug.db.plans import Plans

Rows = list[tuple[Any, ...]]

# What is no bigger is the call of one till: it is planned once per connection. Many rows are planned
# for what the tables hold now.
FEW_KEYS = 8
FEW_CHARACTERS = 16_384


def read(*queries: tuple[str, Sequence[Any]]) -> list[Rows]:
    """Run several queries in one round trip; return the rows of each.

    A transaction that they are the first of begins in the same message. Each sees what was
    committed when it began, so one may wait for a lock and the next read what the holder of that
    lock has written.
    """
    if not queries:
        return []
    statements = [sql for sql, _ in queries]
    values = [_plain(value) for _, of_query in queries for value in of_query]
    wrapper = connection.kept_cursor()
    # All answers are here after execute; Django's wrapper around each further call costs more than it.
    cursor = wrapper.cursor
    few = all(len(value) <= FEW_KEYS for _, of_query in queries for value in of_query if type(value) is list)
    with cursor.connection.opening(few=few) as (begin, words), _planned(statements, few) as (first, calls):
        before = [*begin, *first]
        wrapper.execute(";\n".join([*before, *calls]), [*words, *values])
    for _statement in before:
        cursor.nextset()
    found = [cursor.fetchall()]
    while cursor.nextset():
        found.append(cursor.fetchall())
    return found


def _planned(statements: list[str], few: bool) -> AbstractContextManager[tuple[Sequence[str], Sequence[str]]]:
    """Give what to send in front and in place of the statements; see `Plans.of`.

    A connection that is not kept, as behind a pooler, plans nothing ahead.
    """
    if few and connection.settings_dict["CONN_MAX_AGE"] != 0:
        plans: Plans = connection.connection.plans
        return plans.of(statements)
    return nullcontext(((), statements))


def _plain(value: Any) -> Any:
    """Return a list of keys or of texts as the text of an array, which is many times quicker to hand over."""
    if type(value) is list and value and type(value[0]) in (UUID, str):
        return as_array(value)
    return value


def as_array(values: Sequence[UUID] | Sequence[str]) -> str:
    """Return the text of an SQL array of keys or of texts."""
    words = [
        value.hex if isinstance(value, UUID) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(words) + "}"


def table_of(columns: Mapping[str, str]) -> str:
    """Return SQL of a table `r`; the one placeholder in it takes its rows, as `in_columns` returns them.

    columns  the SQL type of each, by name; trusted text
    """
    return _table(tuple(columns.items()))


@cache
def _table(columns: tuple[tuple[str, str], ...]) -> str:
    values = ", ".join(
        # What JSON has as null is no value here, either.
        f"nullif(value->{number}, 'null') AS {name}"
        if kind == "jsonb"
        else f"(value->>{number})::{kind} AS {name}"
        for number, (name, kind) in enumerate(columns)
    )
    # OFFSET 0 has each value read once, however often the statement names it.
    return f"(SELECT {values} FROM jsonb_array_elements(%s) AS value OFFSET 0) AS r"  # noqa: S608


def in_columns(columns: Mapping[str, str], rows: Sequence[Any]) -> str:
    """Return rows for the table that `table_of` makes of the same columns: JSON, an array a row.

    rows  dicts or dataclasses with a value for each column; an SQL array as its text
    """
    get = itemgetter if isinstance(rows[0], dict) else attrgetter
    return orjson.dumps(list(map(get(*columns), rows)), default=str).decode()


class Write:
    """Writes to several tables, executed as one statement.

    The triggers that prove a ledger look at the end of a statement, so what belongs together is
    written together: all of it or nothing. Rows travel as JSON, however many they are.

    Two parts must not touch the same row: the order of their execution is not defined.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._rows: list[str] = []

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Any]) -> None:
        """Insert rows; `columns` maps a column to its SQL type."""
        names = ", ".join(columns)
        self.add(f"INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}}", columns, rows)  # noqa: S608

    def add(self, sql: str, columns: Mapping[str, str], rows: Sequence[Any]) -> None:
        """Add a writing statement; `{rows}` in it stands for the rows as a table named `r`.

        sql, columns  trusted text, never from a request
        rows          as `in_columns` takes them; without rows nothing is added
        """
        if not rows:
            return
        self._parts.append(sql.format(rows=table_of(columns)))
        self._rows.append(in_columns(columns, rows))

    def execute(self, *, last: bool = False) -> None:
        """Execute everything added.

        last  nothing follows in this transaction: if it is the outermost one it is committed in the
              same message, and the end of its block finds nothing left to do
        """
        if not self._parts:
            return
        text, rows = self.statement()
        ends = ["COMMIT"] if last and connection.in_atomic_block and not connection.savepoint_ids else []
        # Outside a transaction the statement itself must show that it writes (postgresql/acting.py).
        few = connection.in_atomic_block and sum(map(len, rows)) <= FEW_CHARACTERS
        wrapper = connection.kept_cursor()
        with _planned([text], few) as (first, calls):
            wrapper.execute(";\n".join([*first, *calls, *ends]), rows)

    def statement(self) -> tuple[str, list[str]]:
        """Return the one statement, with a placeholder for each part's rows, and those rows as JSON."""
        *earlier, final = self._parts
        parts = ", ".join(f"part{number} AS ({sql})" for number, sql in enumerate(earlier))
        return f"WITH {parts} {final}" if earlier else final, self._rows


class Ahead:
    """Statements that PostgreSQL executes while the caller still decides the next.

    A context manager inside a transaction of the caller. Any other statement of the connection waits
    for what was sent, and so does the end of the block; who waits meets the first error.
    """

    def send(self, write: Write) -> None:
        with connection.wrap_database_errors:
            connection.connection.send_ahead(*write.statement())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        # After a connection that broke there is nothing to wait for.
        if connection.connection:
            with connection.wrap_database_errors:
                connection.connection.catch_up()


def as_jsonb(value: Any) -> Any:
    """Return the value with its keys in the order in which PostgreSQL's jsonb gives them back."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: as_jsonb(value[key]) for key in keys}
    return [as_jsonb(item) for item in value] if isinstance(value, list) else value
