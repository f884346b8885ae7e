"""Set-based writes: one statement however many rows."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

# Below this one INSERT is quicker than COPY's extra round trips.
COPY_FROM_ROWS = 20


def insert_rows(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows of plain values; jsonb columns are given as JSON text.

    table, columns  trusted names, never from a request
    """
    if not rows:
        return
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        if len(rows) >= COPY_FROM_ROWS:
            with cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
            return
        places = f"({', '.join(['%s'] * len(columns))})"
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) VALUES {", ".join([places] * len(rows))}',  # noqa: S608
            [value for row in rows for value in row],
        )
