"""Tells each writing transaction who acts, in the same message that begins it.

A transaction begins before its first statement; where somebody acts, its settings travel with
BEGIN, so they cost no round trip of their own. They are local: the transaction's end forgets them,
and a connection that is used again, or pooled, never speaks for somebody else.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import Escaping, TransactionStatus

from svoykrug.db.actor import Actor, current_actor
from svoykrug.db.plans import BY_INDEX, Plans

WRITING = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE|WITH|COPY)\b", re.IGNORECASE)
SETTINGS = (b"svoykrug.actor_kind", b"svoykrug.actor_id", b"svoykrug.request_id")
TELLING = [f"SET LOCAL {setting.decode()} = %s" for setting in SETTINGS]
UNSURE = object()


class Connection(psycopg.Connection[Any]):
    """told: the actor that the open transaction knows; UNSURE after a savepoint may have undone it.

    opened  the statement at hand brings its own BEGIN
    plans   what this connection has planned already
    ahead   statements under way whose answers nobody has awaited
    """

    told: Any = None
    told_again = False
    opened = False
    kept_cursor: Any = None
    ahead: psycopg.Pipeline | None = None

    @cached_property
    def plans(self) -> Plans:
        return Plans()

    def set_autocommit(self, value: bool) -> None:
        """As psycopg's, which sends nothing either, but by way of its lock and its loop."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._autocommit = value
        else:
            super().set_autocommit(value)

    @contextmanager
    def opening(self, *, few: bool) -> Iterator[tuple[list[str], Sequence[str]]]:
        """Give the statements that begin a transaction, to be sent in front of others in one message.

        few  the transaction is of a few rows, and goes by index

        With placeholders and their values, so that the message's text is the same each time. None
        where a transaction is open already, or none is wanted.
        """
        if self.autocommit or self.pgconn.transaction_status != TransactionStatus.IDLE:
            yield [], ()
            return
        actor = current_actor()
        self.told, self.told_again, self.opened = actor, False, True
        try:
            first = ["BEGIN", BY_INDEX] if few else ["BEGIN"]
            yield [*first, *(TELLING if actor else [])], _words(actor) if actor else ()
        finally:
            self.opened = False

    def send_ahead(self, statement: str, values: Sequence[Any]) -> None:
        """Send a statement of the open transaction without waiting for its answer; see `catch_up`.

        By index and with each reference looked up at once: a commit would look up all of them while
        nobody does anything else.
        """
        if self.ahead is None:
            self.acting(BY_INDEX)
            self.ahead = self.pipeline()
            self.ahead.__enter__()
            self._cursor_ahead = psycopg.Cursor(self)
            for setting in (BY_INDEX, "SET CONSTRAINTS ALL IMMEDIATE"):
                self._cursor_ahead.execute(setting)
        self._cursor_ahead.execute(statement, values)

    def catch_up(self) -> None:
        """Wait for what was sent ahead; raises the first error that it met."""
        if self.ahead is not None:
            pipeline, self.ahead = self.ahead, None
            pipeline.__exit__(None, None, None)

    def _start_query(self) -> Any:
        if not self.opened:
            yield from super()._start_query()

    def acting(self, statement: Any) -> AbstractContextManager[None]:
        """Make sure that the statement runs in a transaction which knows the actor of now."""
        if self.opened:
            return nullcontext()
        actor, status = current_actor(), self.pgconn.transaction_status
        text = statement if isinstance(statement, str) else ""
        if status == TransactionStatus.IDLE:
            self.told, self.told_again = None, False
            if actor is not None and not self.autocommit:
                self._tell(actor, self._get_tx_start_command())
            elif actor is not None and WRITING.match(text):
                return self._one_statement(actor)
        elif text.startswith("ROLLBACK TO"):
            if self.told_again:
                self.told = UNSURE
        elif self.told != actor and status == TransactionStatus.INTRANS:
            self._tell(actor)
            self.told_again = True
        return nullcontext()

    @contextmanager
    def _one_statement(self, actor: Actor) -> Iterator[None]:
        """Give a write outside a transaction one of its own, for the settings are local to it."""
        self._tell(actor, b"BEGIN")
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def _tell(self, actor: Actor | None, *begin: bytes) -> None:
        """Send the settings, behind BEGIN if the transaction is to begin, in one message."""
        answer = self.pgconn.exec_(b"; ".join([*begin, *self._settings(actor)]))
        if self.pgconn.transaction_status != TransactionStatus.INTRANS:
            raise psycopg.OperationalError(answer.get_error_message())
        self.told = actor

    def _settings(self, actor: Actor | None) -> list[bytes]:
        literals = [Escaping(self.pgconn).escape_literal(word.encode()) for word in _words(actor)]
        return [b"SET LOCAL %b = %b" % pair for pair in zip(SETTINGS, literals, strict=True)]


def _words(actor: Actor | None) -> tuple[str, str, str]:
    return (actor.kind.value, str(actor.id or ""), actor.request_id) if actor else ("", "", "")


class Cursor(base.Cursor):
    connection: Connection

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        self.connection.catch_up()
        with self.connection.acting(query):
            return super().execute(query, *args, **kwargs)

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        self.connection.catch_up()
        with self.connection.acting(query):
            return super().executemany(query, *args, **kwargs)

    @contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
        self.connection.catch_up()
        with self.connection.acting(statement), super().copy(statement, *args, **kwargs) as copy:
            yield copy
