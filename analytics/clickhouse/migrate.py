"""Apply the numbered, frozen .sql files in order and remember each with its checksum.

Our own lines rather than a library: docs/decisions/0003-clickhouse-migrations.md.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.errors import MigrationChanged

from .client import WORK_LIMITS, Connection, connect, database
from .tables import clustered, create_database

FOLDER = Path(__file__).parent / "migrations"
SCHEMA_FILE = Path(__file__).parent / "schema.sql"
BOOKKEEPING = "schema_migrations"
FILE_NAME = re.compile(r"\d{4}_\w+\.sql")


@dataclass(frozen=True)
class Migration:
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The steps, each closed by a semicolon at the end of a line."""
        return [step.strip() for step in re.split(r";\s*(?:\n|\Z)", self.sql) if step.strip()]


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    files = sorted(file for file in folder.iterdir() if FILE_NAME.fullmatch(file.name))
    return [Migration(file.stem, file.read_text(encoding="utf-8")) for file in files]


def pending(folder: Path = FOLDER) -> list[Migration]:
    """Return what was not applied yet; change nothing.

    Raises MigrationChanged when an applied file was edited, renamed or removed.
    """
    migrations = read_migrations(folder)
    with connect(to="default") as connection:
        applied = _applied(connection)
    known = {migration.name: migration for migration in migrations}
    for name, checksum in applied.items():
        if name not in known:
            raise MigrationChanged(f"{name} was applied to ClickHouse, but its file is gone.")
        if known[name].checksum != checksum:
            raise MigrationChanged(
                f"{name} was edited after it was applied. Restore it and write a new migration instead."
            )
    return [migration for migration in migrations if migration.name not in applied]


def apply_pending(folder: Path = FOLDER) -> list[Migration]:
    """Create the database where it is missing and apply what is pending, in order.

    A file stopped halfway is applied again from its first step: steps are IF [NOT] EXISTS.
    """
    with connect(to="default") as connection:
        create_database(connection, database())
    todo = pending(folder)
    with connect() as connection:
        connection.run(
            clustered(
                f"CREATE TABLE IF NOT EXISTS {BOOKKEEPING} (name String, checksum String,"
                " applied_at DateTime64(3, 'UTC') DEFAULT now64(3))"
                " ENGINE = ReplacingMergeTree(applied_at) ORDER BY name"
            )
        )
        for migration in todo:
            for statement in migration.statements:
                connection.run(clustered(statement), limits=WORK_LIMITS)
            connection.run(
                f"INSERT INTO {BOOKKEEPING} (name, checksum) SELECT %(name)s, %(checksum)s",
                {"name": migration.name, "checksum": migration.checksum},
            )
    return todo


def dump_schema() -> str:
    """Return every table as the server describes it, without the database's name."""
    with connect() as connection:
        tables = connection.run(
            "SELECT formatQuery(create_table_query) FROM system.tables"
            " WHERE database = %(database)s AND name NOT IN %(ours)s AND NOT is_temporary ORDER BY name",
            {"database": database(), "ours": [BOOKKEEPING]},
        ).rows
    return "\n\n".join(_without_database(sql) + ";" for (sql,) in tables) + "\n"


def _without_database(sql: str) -> str:
    return re.sub(rf"(CREATE \w+ )`?{re.escape(database())}`?\.", r"\1", sql)


def _applied(connection: Connection) -> dict[str, str]:
    exists: Sequence[tuple[int, ...]] = connection.run(
        "SELECT count() FROM system.tables WHERE database = %(database)s AND name = %(name)s",
        {"database": database(), "name": BOOKKEEPING},
    ).rows
    if not exists[0][0]:
        return {}
    rows = connection.run(f"SELECT name, checksum FROM `{database()}`.{BOOKKEEPING} FINAL ORDER BY name").rows  # noqa: S608
    return dict(rows)
