"""How ClickHouse reaches PostgreSQL: a read-only role there, a named collection here.

The role sees the export views and nothing else; the collection keeps its password out of queries and logs.
"""

import hashlib
import hmac
import os

import psycopg
from django.conf import settings
from django.db import connection as postgres
from django.db.utils import InternalError, ProgrammingError
from psycopg import sql

from analytics.errors import ClickHouseUnavailable

from .client import Connection, database
from .tables import on_cluster

ROLE = "svoykrug_export"


def collection() -> str:
    """Return the collection's name: collections are server-wide, so it carries the database's."""
    return f"{database()}_postgresql"


def ensure_link(clickhouse: Connection) -> None:
    """Bring role, grants and collection to what the settings say. May be run at any time."""
    ensure_role()
    ensure_collection(clickhouse)


def role_password() -> str:
    """Return EXPORT_DB_PASSWORD, or one derived from the secret key, so that nothing needs storing."""
    key = settings.SECRET_KEY.encode()
    return settings.EXPORT_DB_PASSWORD or hmac.new(key, ROLE.encode(), hashlib.sha256).hexdigest()


def ensure_role() -> None:
    """Create the role or set it right, and grant it the export views.

    Roles belong to the whole PostgreSQL server: one that can already sign in is left alone.
    """
    with postgres.cursor() as cursor:
        cursor.execute("SELECT true FROM pg_roles WHERE rolname = %s", [ROLE])
        if not (exists := cursor.fetchone()) or not _role_signs_in():
            verb = "ALTER" if exists else "CREATE"
            try:
                cursor.execute(
                    sql.SQL(verb + " ROLE {} LOGIN NOINHERIT PASSWORD {}").format(
                        sql.Identifier(ROLE), sql.Literal(role_password())
                    )
                )
                cursor.execute(f"ALTER ROLE {ROLE} SET timezone = 'UTC'")
                cursor.execute(f"ALTER ROLE {ROLE} SET default_transaction_read_only = on")
            except ProgrammingError as error:
                if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                    raise
                raise ClickHouseUnavailable(
                    f"The database user may not create the role {ROLE}: let an administrator create it"
                    " with LOGIN and the password of EXPORT_DB_PASSWORD, see docs/migrations.md."
                ) from error
            except InternalError:
                # Another process set the very same role at the same moment.
                if not _role_signs_in():
                    raise
        cursor.execute(f"GRANT USAGE ON SCHEMA export TO {ROLE}")
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA export TO {ROLE}")


def ensure_collection(clickhouse: Connection) -> None:
    host, port = _postgres_address()
    values = {
        "host": host,
        "port": port,
        "database": postgres.settings_dict["NAME"],
        "schema": "export",
        "user": ROLE,
        "password": role_password(),
    }
    pairs = ", ".join(f"{key} = %({key})s" for key in values)
    clickhouse.run(f"CREATE NAMED COLLECTION IF NOT EXISTS {collection()}{on_cluster()} AS {pairs}", values)
    clickhouse.run(f"ALTER NAMED COLLECTION {collection()}{on_cluster()} SET {pairs}", values)


def _postgres_address() -> tuple[str, int]:
    if settings.POSTGRES_ADDRESS_FOR_CLICKHOUSE:
        host, _, port = settings.POSTGRES_ADDRESS_FOR_CLICKHOUSE.rpartition(":")
        if not host or not port.isdecimal():
            raise ClickHouseUnavailable("POSTGRES_ADDRESS_FOR_CLICKHOUSE must read host:port.")
        return host, int(port)
    host = postgres.settings_dict["HOST"]
    if not host or host.startswith("/"):
        raise ClickHouseUnavailable(
            "ClickHouse cannot use PostgreSQL's unix socket:"
            " set POSTGRES_ADDRESS_FOR_CLICKHOUSE to host:port."
        )
    return host, int(postgres.settings_dict["PORT"] or 5432)


def _role_signs_in() -> bool:
    address = postgres.settings_dict
    try:
        psycopg.connect(
            host=address["HOST"] or os.environ.get("PGHOST"),
            port=address["PORT"] or None,
            dbname=address["NAME"],
            user=ROLE,
            password=role_password(),
            connect_timeout=3,
        ).close()
    except psycopg.OperationalError:
        return False
    return True
