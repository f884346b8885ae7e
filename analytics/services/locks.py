"""One pipeline job of a kind at a time, across every worker and command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection

# First halves of PostgreSQL's two-part advisory keys: this project's jobs.
NAMESPACE = 5_701
KEYS = {"sync": 1, "rfm": 2, "cross_promo": 3, "forecasts": 4}
BETWEEN_TRIES_SECONDS = 0.2


@contextmanager
def only_one(job: str, *, patience: timedelta = timedelta(0)) -> Iterator[bool]:
    """Yield whether this process got the job; it keeps it until the block ends or its connection dies.

    patience  how long to wait for another that has it; asked for, not slept on in the database, whose
              own time-out for locks is short
    """
    key = [NAMESPACE, KEYS[job]]
    deadline = time.monotonic() + patience.total_seconds()
    while not (got := _try(key)) and time.monotonic() < deadline:
        time.sleep(BETWEEN_TRIES_SECONDS)
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def _try(key: list[int]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        return bool(cursor.fetchone()[0])
