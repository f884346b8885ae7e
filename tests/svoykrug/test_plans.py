"""What tills run is planned once per connection, and planned anew after failures and in time."""

import pytest
from django.db import DataError, connection
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from svoykrug.db import plans, sql
from svoykrug.db.sql import read
from tests.factories import BusinessFactory

LEVELS = "SELECT level FROM status_tiers WHERE level < %s AND name NOT LIKE 'x%%' ORDER BY level"
NAMED = "SELECT count(*) FROM businesses WHERE id = ANY(%s::uuid[])"

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture(autouse=True)
def fresh_connection():
    connection.close()


def planned():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY prepare_time, name")
        return [name for (name,) in cursor.fetchall()]


def test_a_statement_is_planned_once_and_answers_alike():
    with CaptureQueriesContext(connection) as asked:
        assert [read((LEVELS, [limit])) for limit in (2, 3, 1)] == [[[(1,)]], [[(1,), (2,)]], [[]]]

    assert len(asked) == 3
    assert planned() == ["planned_1"]


def test_a_transaction_that_fails_takes_no_plan_with_it():
    for _time in range(2):
        with pytest.raises(DataError), atomic():
            read((LEVELS, [2]), ("SELECT 1 / %s::int", [0]))
        assert read((LEVELS, [2])) == [[(1,)]]
        with pytest.raises(DataError), atomic():
            read((LEVELS, [2]), ("SELECT 1 / %s::int", [0]))
        assert read((LEVELS, [2])) == [[(1,)]]


def test_after_many_uses_everything_is_planned_anew(monkeypatch):
    monkeypatch.setattr(plans, "USES", 3)
    connection.close()
    for _time in range(4):
        read((LEVELS, [2]))
    read((NAMED, [[]]))

    assert planned() == ["planned_2", "planned_3"]


def test_many_keys_are_planned_for_what_they_are(monkeypatch):
    keys = [BusinessFactory().pk for _number in range(3)]
    monkeypatch.setattr(sql, "FEW_KEYS", 2)

    assert read((NAMED, [keys])) == [[(3,)]]
    assert planned() == []

    assert read((NAMED, [keys[:2]])) == [[(2,)]]
    assert len(planned()) == 1


def test_behind_a_pooler_nothing_is_planned_ahead(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)

    assert read((LEVELS, [2])) == [[(1,)]]
    assert planned() == []


def test_a_small_table_is_read_by_index_too_for_it_will_grow():
    read((NAMED, [[BusinessFactory().pk]]))

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (COSTS OFF) EXECUTE planned_1('{}')")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)
    assert "Index" in plan
    assert "Seq Scan" not in plan


def test_what_the_database_checks_for_a_till_goes_by_index_and_no_further():
    """Plans of foreign keys are made where they are first checked, and kept as long as the connection."""
    with connection.cursor() as cursor:
        with atomic():
            read((LEVELS, [2]))
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("off",)
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)
