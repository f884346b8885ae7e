"""The tests' PostgreSQL database: quickly made, and after a transactional test as the migrations left it.

All migrations take half a minute, so they run once for each set of them, into a database that is then
copied. Django's own way of emptying truncates every table and writes the migrations' rows one by one,
through the triggers that refuse the one and record the other: a second for each test. Here it costs the
rows that the test wrote.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.transaction import atomic

# Rows of the migrations are kept here; a role of replication fires no trigger and checks no reference.
KEEP = """
DO $$
DECLARE stored record; filled boolean;
BEGIN
  CREATE SCHEMA migrated;
  FOR stored IN SELECT relname AS name FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'django_migrations'
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', stored.name) INTO filled;
    IF filled THEN
      EXECUTE format('CREATE TABLE migrated.%1$I AS TABLE public.%1$I', stored.name);
    END IF;
  END LOOP;
END $$
"""
RESTORE = """
DO $$
DECLARE stored record; filled boolean;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR stored IN SELECT relname AS name, pg_relation_size(oid) > 1000000 AS large FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'django_migrations'
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', stored.name) INTO filled;
    CONTINUE WHEN NOT filled;
    IF stored.large THEN
      EXECUTE format('TRUNCATE public.%I CASCADE', stored.name);
    ELSE
      EXECUTE format('DELETE FROM public.%I', stored.name);
    END IF;
  END LOOP;
  FOR stored IN
    SELECT relname AS name, string_agg(quote_ident(attname), ', ') AS columns
    FROM pg_class JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
    WHERE relnamespace = 'migrated'::regnamespace AND NOT EXISTS (
      SELECT FROM pg_attribute own
      WHERE own.attrelid = format('public.%I', relname)::regclass AND own.attname = pg_attribute.attname
        AND own.attgenerated <> ''
    )
    GROUP BY relname
  LOOP
    EXECUTE format(
      'INSERT INTO public.%1$I (%2$s) SELECT %2$s FROM migrated.%1$I', stored.name, stored.columns
    );
  END LOOP;
END $$
"""


# What the migrations, our own and those of packages, make of an empty database depends on these.
SOURCES = ("*/migrations/*.py", "*/models/*.py", "svoykrug/db/**/*.py", "requirements.txt")
LOCK = 5_702_900


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let the tests' database be a copy of one that is migrated already."""
    connection.settings_dict["TEST"]["TEMPLATE"] = _migrated_database()


def _migrated_database() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(Path(settings.BASE_DIR).glob(pattern)):
            digest.update(path.read_bytes())
    name = f"migrated_{digest.hexdigest()[:16]}"
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as server:
        # Of several workers one migrates, the others wait.
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        made = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'migrated\\_%'").fetchall()
        if (name,) not in made:
            for (old,) in made:
                server.execute(f"DROP DATABASE {old}")
            server.execute("CREATE DATABASE migrated_draft")
            address = urlsplit(settings.DATABASE_URL)._replace(path="/migrated_draft").geturl()
            subprocess.run(
                [sys.executable, "-W", "ignore", "manage.py", "migrate", "--verbosity=0"],
                cwd=settings.BASE_DIR, env={**os.environ, "DATABASE_URL": address}, check=True,
            )  # fmt: skip
            server.execute(f"ALTER DATABASE migrated_draft RENAME TO {name}")
    return name


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Keep the migrations' rows aside, and let Django's two halves of a fresh start put them back."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(KEEP)
        # No test pulls the plug on this database, so no commit has to wait for the disk.
        cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} SET synchronous_commit = off")
        connection.close()
    DatabaseOperations.execute_sql_flush = _restore
    BaseDatabaseCreation.deserialize_db_from_string = lambda self, data: None


def _restore(_operations: DatabaseOperations, _statements: list[str]) -> None:
    with atomic(), connection.cursor() as cursor:
        cursor.execute(RESTORE)
