"""Statements of the tills' path are planned once per connection.

Planning what a single purchase runs costs PostgreSQL more than running it. PREPARE and EXECUTE are
statements themselves, so they travel in the messages that go anyway. PostgreSQL plans anew by
itself once a table was analysed or altered; `USES` bounds how long a plan outlives a table that
grows faster than that.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Messages after which everything is planned anew.
USES = 1000
# A plan made while a table is small would read it whole long after it has grown.
BY_INDEX = "SET LOCAL enable_seqscan = off"


class Plans:
    """What one connection has planned."""

    def __init__(self) -> None:
        self._calls: dict[str, str] = {}
        self._named = 0
        self._left = USES

    @contextmanager
    def of(self, statements: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Give what must be sent in front, and the statements to send in place of these.

        Both have psycopg's placeholders. A message that fails may have prepared some of its
        statements or none, so what it named is named anew by the next one.
        """
        first = []
        if not self._left:
            first, self._calls, self._left = ["DEALLOCATE ALL"], {}, USES
        self._left -= 1
        calls = self._calls
        if fresh := [sql for sql in dict.fromkeys(statements) if sql not in calls]:
            calls = dict(calls)
            first.append(BY_INDEX)
            for sql in fresh:
                self._named += 1
                text, count = _numbered(sql)
                first.append(f"PREPARE planned_{self._named} AS {text}")
                values = f"({', '.join(['%s'] * count)})" if count else ""
                calls[sql] = f"EXECUTE planned_{self._named}{values}"
        yield first, [calls[sql] for sql in statements]
        self._calls = calls


def _numbered(sql: str) -> tuple[str, int]:
    """Return the statement with $1, $2 … for its placeholders, and how many they are."""
    head, *rest = sql.split("%s")
    return head + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1)), len(rest)
