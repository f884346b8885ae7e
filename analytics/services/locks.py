"""One pipeline job of a kind at a time, across every worker and command."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# First halves of PostgreSQL's two-part advisory keys: this project's jobs.
NAMESPACE = 5_701
KEYS = {"sync": 1, "rfm": 2, "cross_promo": 3}


@contextmanager
def only_one(job: str) -> Iterator[bool]:
    """Yield whether this process got the job; it keeps it until the block ends or its connection dies."""
    key = [NAMESPACE, KEYS[job]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
