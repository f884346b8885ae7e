"""What readers ask ClickHouse: always with a scope, never without limits, and nothing is written."""

import ast
import inspect
from datetime import date
from uuid import UUID

import pytest
from clickhouse_driver.errors import ErrorCodes, ServerException

from analytics import liability, movements, selectors
from analytics.clickhouse import queries
from analytics.clickhouse.client import ASK_LIMITS
from analytics.clickhouse.queries import ask, local_days, read_query
from analytics.errors import ClickHouseUnavailable, Unscoped

SPAN = local_days(date(2026, 1, 1), date(2026, 2, 1))
FORGOTTEN = "SELECT sum(amount) FROM transaction_facts FINAL"
# What pages read for owners too, besides programme staff.
FOR_OWNERS = ("breakage", "cohorts", "liability", "rfm_members", "summary", "turnover_by", "win_win_matrix")


@pytest.fixture(autouse=True)
def tables(clickhouse):
    """Migrated and empty."""


@pytest.mark.parametrize("business_ids", [[], [UUID(int=5)]])
def test_a_query_that_forgot_its_scope_is_refused_to_owners(business_ids):
    assert ask(FORGOTTEN, {}, business_ids=None) == [(0,)]
    with pytest.raises(Unscoped):
        ask(FORGOTTEN, {}, business_ids=business_ids)


def test_the_scope_must_be_said():
    with pytest.raises(TypeError, match="business_ids"):
        ask(FORGOTTEN, {})


def test_queries_for_owners_narrow_by_businesses():
    assert [name for name in FOR_OWNERS if queries.SCOPED not in read_query(name)] == []
    assert ask(read_query("summary"), SPAN, business_ids=[])[0][1] == 0


@pytest.mark.parametrize("module", [selectors, movements, liability])
def test_pages_have_no_other_way_to_clickhouse(module):
    tree = ast.parse(inspect.getsource(module))
    imported = {
        f"{node.module}.{name.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for name in node.names
    }  # fmt: skip
    assert not any(name.startswith("analytics.clickhouse.client") for name in imported)
    assert "analytics.clickhouse.queries.ask" in imported


@pytest.mark.parametrize(
    ("limits", "query"),
    [
        ({"max_execution_time": 1}, "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1"),
        ({"max_memory_usage": 10_000_000}, "SELECT length(groupArray(number)) FROM numbers(10000000)"),
    ],
)
def test_a_query_beyond_its_limits_ends_as_an_outage(monkeypatch, limits, query):
    monkeypatch.setattr(queries, "ASK_LIMITS", {**ASK_LIMITS, **limits})

    with pytest.raises(ClickHouseUnavailable, match="stopped a query at its limit"):
        ask(query, {}, business_ids=None)


def test_a_reader_writes_nothing():
    with pytest.raises(ServerException) as refused:
        ask("TRUNCATE TABLE transaction_facts", {}, business_ids=None)
    assert refused.value.code == ErrorCodes.READONLY
