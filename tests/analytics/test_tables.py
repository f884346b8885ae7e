"""The words that a cluster needs, and the addresses of several hosts."""

import pytest

from analytics.clickhouse.client import connect, driver_url
from analytics.clickhouse.migrate import read_migrations
from analytics.clickhouse.tables import clustered, create_database
from analytics.errors import ClickHouseUnavailable

REPLICATED = "Replicated{}('/clickhouse/tables/{{uuid}}/{{shard}}', '{{replica}}'{}"


def test_a_migration_is_what_its_file_says_without_a_cluster(settings):
    settings.CLICKHOUSE_CLUSTER = ""
    steps = [step for migration in read_migrations() for step in migration.statements]

    assert [clustered(step) for step in steps] == steps


def test_a_migration_makes_replicated_tables_on_a_cluster(settings):
    settings.CLICKHOUSE_CLUSTER = "both"
    made = "-- Why.\nCREATE TABLE IF NOT EXISTS a (n Int8)\nENGINE = {} ORDER BY n"

    assert clustered(made.format("ReplacingMergeTree(n)")) == made.replace(
        "a (", "a ON CLUSTER `both` ("
    ).format(REPLICATED.format("ReplacingMergeTree", ", n)"))
    assert REPLICATED.format("MergeTree", ")") in clustered(made.format("MergeTree()"))
    assert clustered("DROP TABLE IF EXISTS a") == "DROP TABLE IF EXISTS a ON CLUSTER `both`"
    assert clustered("ALTER TABLE a ADD COLUMN m Int8") == "ALTER TABLE a ADD COLUMN m Int8"


def test_an_unknown_cluster_is_refused_before_anything_is_made(clickhouse_address, settings):
    settings.CLICKHOUSE_CLUSTER = "nowhere"

    with (
        connect(to="default") as connection,
        pytest.raises(ClickHouseUnavailable, match="no cluster nowhere"),
    ):
        create_database(connection, "never_made")


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("clickhouse://u:p@one:9000/d", "clickhouse://u:p@one:9000/d"),
        ("clickhouse://u:p@one,two:9001/d", "clickhouse://u:p@one/d?alt_hosts=two:9001"),
        (
            "clickhouse://u:p@one:1,two:2,three/d?compression=lz4",
            "clickhouse://u:p@one:1/d?compression=lz4&alt_hosts=two:2,three",
        ),
        ("clickhouse://one,two/d", "clickhouse://one/d?alt_hosts=two"),
    ],
)
def test_several_hosts_become_the_drivers_alternatives(url, read):
    assert driver_url(url) == read
