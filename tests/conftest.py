"""Fixtures that every test may use. Servers are real: PostgreSQL, Redis, ClickHouse."""

import os
import re
import uuid
from contextlib import nullcontext

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from loyalty.models import Business, Member
from loyalty.services.verification import verify_ledger
from svoykrug.db.plans import Plans
from tests.clickhouse import clickhouse, clickhouse_address, clickhouse_database
from tests.database import django_db_modify_db_settings, django_db_setup
from tests.factories import BusinessFactory, MemberFactory
from tests.shared_data import (  # noqa: F401  hooks: pytest finds them here
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

pytest_plugins = ["tests.prove"]
__all__ = [
    "clickhouse",
    "clickhouse_address",
    "clickhouse_database",
    "django_db_modify_db_settings",
    "django_db_setup",
]


@pytest.fixture(scope="session", autouse=True)
def redis_address() -> None:
    """Give each worker a Redis database of its own, never the one that REDIS_URL names or Celery's."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    address, number = django_settings.REDIS_URL.partition("?")[0], 2 + int(worker.removeprefix("gw")) % 14
    django_settings.REDIS_URL = f"{address}?db={number}"
    django_settings.CACHES["default"]["LOCATION"] = django_settings.REDIS_URL


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
