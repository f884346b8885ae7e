"""Fixtures that every test may use. Servers are real: PostgreSQL, Redis, ClickHouse."""

import re
import uuid

import pytest

from loyalty.models import Business, Member
from tests.clickhouse import clickhouse, clickhouse_address, clickhouse_database
from tests.factories import BusinessFactory, MemberFactory
from tests.shared_data import (  # noqa: F401  hooks: pytest finds them here
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

__all__ = ["clickhouse", "clickhouse_address", "clickhouse_database"]


@pytest.fixture
def member(db: None) -> Member:
    return MemberFactory()


@pytest.fixture
def business(db: None) -> Business:
    return BusinessFactory()


@pytest.fixture
def own_codes(settings):
    """Sign-in codes and counters of this test alone: their keys depend on the secret."""
    settings.SECRET_KEY = uuid.uuid4().hex


@pytest.fixture
def sent_code(caplog, own_codes):
    """Return the last code that reached the console for a phone."""

    def last(phone: str) -> str:
        lines = [record.getMessage() for record in caplog.records if record.name == "svoykrug.codes"]
        found = [re.fullmatch(rf"Sign-in code for {re.escape(phone)}: (\d{{6}})", line) for line in lines]
        return [match[1] for match in found if match][-1]

    return last
