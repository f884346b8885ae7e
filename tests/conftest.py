"""Fixtures that every test may use. Servers are real: PostgreSQL, Redis, ClickHouse."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.utils import timezone

from loyalty.models import Business, Member
from loyalty.services.verification import verify_ledger
from svoykrug.db.plans import Plans
from tests.clickhouse import clickhouse, clickhouse_address, clickhouse_database
from tests.factories import BusinessFactory, MemberFactory
from tests.shared_data import (  # noqa: F401  hooks: pytest finds them here
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

pytest_plugins = ["tests.prove"]
__all__ = ["clickhouse", "clickhouse_address", "clickhouse_database"]


@pytest.fixture(scope="session", autouse=True)
def redis_address() -> None:
    """Give each worker a Redis database of its own, never the one that REDIS_URL names or Celery's."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    address, number = django_settings.REDIS_URL.partition("?")[0], 2 + int(worker.removeprefix("gw")) % 14
    django_settings.REDIS_URL = f"{address}?db={number}"
    django_settings.CACHES["default"]["LOCATION"] = django_settings.REDIS_URL


@pytest.fixture(scope="session", autouse=True)
def emptied_tables() -> Iterator[None]:
    """Let a transactional test empty the tables afterwards, which the product's triggers refuse."""
    flush = DatabaseOperations.execute_sql_flush

    def without_triggers(self: DatabaseOperations, statements: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'pgtrigger_no_truncate_%'"
            )
            tables = [table for (table,) in cursor.fetchall()]
        flush(self, [
            *(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables),
            *statements,
            *(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in tables),
        ])  # fmt: skip

    DatabaseOperations.execute_sql_flush = without_triggers
    yield
    DatabaseOperations.execute_sql_flush = flush


@pytest.fixture
def member(db: None) -> Member:
    return MemberFactory()


@pytest.fixture
def business(db: None) -> Business:
    return BusinessFactory()


@pytest.fixture
def sound_ledger(db):
    """Whatever the test did, every rule of the ledger holds for every row afterwards."""
    yield
    assert [finding for finding in verify_ledger(at=timezone.now()) if finding.wrong] == []


@pytest.fixture
def own_codes(settings):
    """Sign-in codes and counters of this test alone: their keys depend on the secret."""
    settings.SECRET_KEY = uuid.uuid4().hex


@pytest.fixture
def sent_code(caplog, own_codes):
    """Return the last sign-in code that reached the console for a phone."""
    return lambda phone: last_on_console(caplog, "Sign-in code", phone)


@pytest.fixture
def told_code(caplog, own_codes):
    """Return the last code to tell a cashier that reached the console for a phone."""
    return lambda phone: last_on_console(caplog, "Code to tell the cashier", phone)


def last_on_console(caplog, words: str, phone: str) -> str:
    lines = [record.getMessage() for record in caplog.records if record.name == "svoykrug.codes"]
    found = [re.fullmatch(rf"{words} for {re.escape(phone)}: (\d{{6}})", line) for line in lines]
    return [match[1] for match in found if match][-1]


@pytest.fixture
def spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send each statement whole instead of the name it is planned under, for tests that read it."""
    monkeypatch.setattr(Plans, "of", lambda _self, statements: nullcontext(([], list(statements))))
