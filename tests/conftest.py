"""Fixtures that every test may use. Servers are real: PostgreSQL, Redis, ClickHouse."""

import pytest

from loyalty.models import Business, Member
from tests.factories import BusinessFactory, MemberFactory


@pytest.fixture
def member(db: None) -> Member:
    return MemberFactory()


@pytest.fixture
def business(db: None) -> Business:
    return BusinessFactory()
