"""Everything encrypted at rest is encrypted anew by the first of `ENCRYPTION_KEYS`."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.db.transaction import atomic

from svoykrug.db.models import EncryptedField
from svoykrug.encryption import InvalidToken, encrypt_anew, is_of_first_key
from svoykrug.failpoints import failpoint

ROWS_AT_ONCE = 500


@dataclass(slots=True)
class Rotated:
    """How far one column is.

    renewed     encrypted anew by this run
    unreadable  rows that no key reads any more; they are left as they are
    """

    table: str
    column: str
    rows: int = 0
    renewed: int = 0
    unreadable: int = 0
    first_unreadable: UUID | None = None


def encrypted_columns() -> list[tuple[str, str]]:
    """Return table and column of every encrypted field."""
    return sorted(
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField)
    )


def rotate(table: str, column: str) -> Iterator[Rotated]:
    """Encrypt a column anew, some rows at a time, telling after each how far it is.

    Each part is a transaction of its own that locks its rows, and rows which the first key reads are
    left alone. So it may be stopped or killed, run again, and run while the service works.
    """
    done, last = Rotated(table, column), UUID(int=0)
    while True:
        with atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, {column} FROM {table} WHERE id > %s AND {column} IS NOT NULL "  # noqa: S608
                f"ORDER BY id LIMIT {ROWS_AT_ONCE} FOR NO KEY UPDATE",
                [last],
            )
            rows = cursor.fetchall()
            if not rows:
                break
            last = rows[-1][0]
            renewed = dict(_renewed(rows, done))
            if renewed:
                cursor.execute(
                    f"UPDATE {table} t SET {column} = r.secret "  # noqa: S608  names of our own models
                    "FROM unnest(%s::uuid[], %s::bytea[]) AS r(id, secret) WHERE t.id = r.id",
                    [list(renewed), list(renewed.values())],
                )
        failpoint("rotation-after-part")
        done.rows += len(rows)
        done.renewed += len(renewed)
        yield done
    if not done.rows:
        yield done


def _renewed(rows: list[tuple[UUID, memoryview]], done: Rotated) -> Iterator[tuple[UUID, bytes]]:
    for row_id, stored in rows:
        if is_of_first_key(stored):
            continue
        try:
            yield row_id, encrypt_anew(stored)
        except InvalidToken:
            done.unreadable += 1
            done.first_unreadable = done.first_unreadable or row_id
