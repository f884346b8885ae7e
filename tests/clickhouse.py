"""ClickHouse for tests: a database of their own per worker, never the one that CLICKHOUSE_URL names."""

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from analytics.clickhouse.client import Connection, connect, database, with_database
from analytics.clickhouse.migrate import BOOKKEEPING, apply_pending
from analytics.clickhouse.postgres_link import collection, ensure_link
from analytics.clickhouse.tables import drop, drop_database, on_cluster
from analytics.services.sync import FACTS

STAGING = ("_refill", "_heal")


@pytest.fixture(scope="session", autouse=True)
def clickhouse_address() -> None:
    """Point the settings at the tests' database; nothing is created until a test asks for it."""
    name = f"test_{database()}_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    settings.CLICKHOUSE_URL = with_database(settings.CLICKHOUSE_URL, name)


@pytest.fixture(scope="session")
def clickhouse_database(
    clickhouse_address: None, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """The migrated database, reading the export views of the tests' PostgreSQL database."""
    with connect(to="default") as connection:
        drop_database(connection, database())
    apply_pending()
    with django_db_blocker.unblock(), connect() as connection:
        ensure_link(connection)
    yield
    with connect(to="default") as connection:
        drop_database(connection, database())
        connection.run(f"DROP NAMED COLLECTION {collection()}{on_cluster()}")


@pytest.fixture
def clickhouse(clickhouse_database: None) -> Iterator[Connection]:
    """A connection to emptied tables. Rows are pulled from what PostgreSQL has committed, so a test that
    syncs is marked `django_db(transaction=True, serialized_rollback=True)`."""
    with connect() as connection:
        for table in _tables(connection):
            connection.run(f"TRUNCATE TABLE {table}")
        yield connection
    # A killed refill leaves its staging table to the next refill.
    with connect() as connection:
        for table in _tables(connection):
            if table.endswith(STAGING):
                drop(connection, table)


def fingerprint(clickhouse: Connection) -> str:
    """Return a digest of everything that readers see, calculation times aside."""
    tables = {table: f"SELECT {', '.join(columns)} FROM {table} FINAL" for table, columns in FACTS.items()}
    tables["rfm"] = "SELECT * EXCEPT calculated_at FROM rfm_snapshots FINAL"
    tables["matrix"] = "SELECT * FROM cross_promo_conversions FINAL"
    rows = {name: sorted(map(str, clickhouse.run(query).rows)) for name, query in tables.items()}
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _tables(connection: Connection) -> list[str]:
    rows = connection.run(
        "SELECT name FROM system.tables WHERE database = %(database)s AND name != %(ours)s",
        {"database": database(), "ours": BOOKKEEPING},
    ).rows
    return [name for (name,) in rows]
