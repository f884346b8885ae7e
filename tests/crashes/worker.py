"""A worker of the pipeline in a process of its own, to be killed."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, connections

from analytics.clickhouse.client import Connection, database
from analytics.services.sync import sync_facts

PATIENCE_SECONDS = 60


def start(job: Callable[[], object], *, failpoint: str = "") -> int:
    """Fork a worker that does the job and ends; at the failpoint it dies. Return its pid."""
    pid = os.fork()
    if pid:
        return pid
    # The parent's connection stays the parent's: neither used nor closed here.
    inherited, connections["default"].connection = connection.connection, None
    settings.FAILPOINTS = frozenset({failpoint})
    try:
        job()
    finally:
        os._exit(0)
        del inherited


def end_of(pid: int) -> int:
    """Wait for the worker; return the signal that killed it, 0 if it ended by itself."""
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def killed(job: Callable[[], object], *, at: str) -> bool:
    """Run the job in a worker that dies at the failpoint; return whether it did."""
    return end_of(start(job, failpoint=at)) == signal.SIGKILL


@contextmanager
def held_back(table: str):
    """Let nobody read the table meanwhile: whoever pulls it stands in the middle of the work."""
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def wait_for_insert(clickhouse: Connection) -> None:
    """Return when ClickHouse has begun to insert into this database."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not inserts_running(clickhouse):
        assert time.monotonic() < deadline, "No INSERT has begun."
        time.sleep(0.02)


def wait_for_quiet(clickhouse: Connection) -> None:
    """Return when ClickHouse has ended every INSERT that killed workers left behind."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while inserts_running(clickhouse):
        assert time.monotonic() < deadline, "An INSERT does not end."
        time.sleep(0.02)


def inserts_running(clickhouse: Connection) -> int:
    return clickhouse.run(
        "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND current_database = %(name)s",
        {"name": database()},
    ).rows[0][0]


def sync_when_free() -> None:
    """Sync as soon as PostgreSQL has noticed that whoever held the job is dead."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sync_facts() is None:
        assert time.monotonic() < deadline, "The job of the sync does not come free."
        time.sleep(0.02)
