"""Tables made, dropped and swapped, on one server or on every node of CLICKHOUSE_CLUSTER.

A cluster here is copies of everything, not parts: docs/decisions/0022-a-cluster-is-copies.md. Rows,
partitions and mutations travel between the copies by themselves; only what makes, renames or drops a
table has to be said ON CLUSTER.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from analytics.errors import ClickHouseUnavailable

from .client import WORK_LIMITS, Connection, connect

# A path by the table's UUID: tables may change names, as a refill's do.
REPLICATED = r"ENGINE = Replicated\1('/clickhouse/tables/{uuid}/{shard}', '{replica}', "
MADE_OR_DROPPED = re.compile(r"^((?:CREATE|DROP) TABLE IF (?:NOT )?EXISTS \w+)", re.MULTILINE)
CATCH_UP_SECONDS = 60
# What was said ON CLUSTER and this node has not done yet.
STILL_TO_DO = """
    SELECT count() FROM system.distributed_ddl_queue
    WHERE cluster = %(name)s AND status != 'Finished'
        AND (host, port) IN (
            SELECT host_name, port FROM system.clusters WHERE cluster = %(name)s AND is_local
        )
"""
ENGINE = re.compile(r"ENGINE = (\w*MergeTree)\(")


def on_cluster() -> str:
    """Return what has to stand behind a table's or database's name."""
    return f" ON CLUSTER `{settings.CLICKHOUSE_CLUSTER}`" if settings.CLICKHOUSE_CLUSTER else ""


def clustered(statement: str) -> str:
    """Return a step of a migration as the cluster needs it; unchanged where there is none.

    An ALTER needs nothing: it travels through the replicated table.
    """
    if not settings.CLICKHOUSE_CLUSTER:
        return statement
    statement = MADE_OR_DROPPED.sub(rf"\1{on_cluster()}", statement)
    return ENGINE.sub(REPLICATED, statement).replace("'{replica}', )", "'{replica}')")


def create_database(clickhouse: Connection, name: str) -> None:
    """Raises ClickHouseUnavailable when the cluster is not one of copies."""
    if settings.CLICKHOUSE_CLUSTER:
        _refuse_shards(clickhouse)
    clickhouse.run(f"CREATE DATABASE IF NOT EXISTS `{name}`{on_cluster()}")


def drop_database(clickhouse: Connection, name: str) -> None:
    clickhouse.run(f"DROP DATABASE IF EXISTS `{name}`{on_cluster()} SYNC")


def create_like(clickhouse: Connection, table: str, *, model: str) -> None:
    """Make `table` anew and empty, with the columns, keys and engine of `model`."""
    drop(clickhouse, table)
    clickhouse.run(f"CREATE TABLE {table}{on_cluster()} AS {model}")


def drop(clickhouse: Connection, table: str) -> None:
    clickhouse.run(f"DROP TABLE IF EXISTS {table}{on_cluster()} SYNC")


def exchange(clickhouse: Connection, one: str, other: str) -> None:
    """Let two tables swap names at once: no reader meets half of either."""
    clickhouse.run(f"EXCHANGE TABLES {one} AND {other}{on_cluster()}")


@contextmanager
def connect_to_work() -> Iterator[Connection]:
    """Open a connection for the pipeline's jobs: on a cluster, to a node that has what the others have.

    One that has just come back may lag behind them. Worse, a name may still mean the table that a refill
    has replaced meanwhile, and whatever is written there is dropped with it.
    """
    with connect() as clickhouse:
        if settings.CLICKHOUSE_CLUSTER:
            _catch_up(clickhouse)
        yield clickhouse


def _catch_up(clickhouse: Connection) -> None:
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while clickhouse.run(STILL_TO_DO, {"name": settings.CLICKHOUSE_CLUSTER}).rows[0][0]:
        if time.monotonic() > deadline:
            raise ClickHouseUnavailable("A node of ClickHouse has come back and is not ready yet.")
        time.sleep(0.2)
    for (table,) in clickhouse.run(
        "SELECT table FROM system.replicas WHERE database = currentDatabase()"
    ).rows:
        clickhouse.run(f"SYSTEM SYNC REPLICA {table}", limits=WORK_LIMITS)


def _refuse_shards(clickhouse: Connection) -> None:
    rows = clickhouse.run(
        "SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = %(name)s",
        {"name": settings.CLICKHOUSE_CLUSTER},
    ).rows
    if not (shards := rows[0][0]):
        raise ClickHouseUnavailable(
            f"ClickHouse knows no cluster {settings.CLICKHOUSE_CLUSTER}: see remote_servers in its settings."
        )
    if shards > 1:
        raise ClickHouseUnavailable(
            f"The cluster {settings.CLICKHOUSE_CLUSTER} has {shards} shards: each node must hold everything,"
            " so list them all as replicas of one shard."
        )
