"""ClickHouse for tests: a database of their own per worker, never the one that CLICKHOUSE_URL names."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from analytics.clickhouse.client import Connection, connect, database, with_database
from analytics.clickhouse.migrate import BOOKKEEPING, apply_pending
from analytics.clickhouse.postgres_link import collection, ensure_link

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
        connection.run(f"DROP DATABASE IF EXISTS {database()}")
    apply_pending()
    with django_db_blocker.unblock(), connect() as connection:
        ensure_link(connection)
    yield
    with connect(to="default") as connection:
        connection.run(f"DROP DATABASE {database()}")
        connection.run(f"DROP NAMED COLLECTION {collection()}")


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
                connection.run(f"DROP TABLE {table}")


def _tables(connection: Connection) -> list[str]:
    rows = connection.run(
        "SELECT name FROM system.tables WHERE database = %(database)s AND name != %(ours)s",
        {"database": database(), "ours": BOOKKEEPING},
    ).rows
    return [name for (name,) in rows]
