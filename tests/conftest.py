"""Fixtures that every test may use. Servers are real: PostgreSQL, Redis, ClickHouse."""

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
