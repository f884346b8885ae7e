"""The one way to ClickHouse: address from settings, limits on every query, errors that say what to do."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from clickhouse_driver import Client
from clickhouse_driver.errors import (
    Error,
    ErrorCodes,
    NetworkError,
    ServerException,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
)
from django.conf import settings

from analytics.errors import ClickHouseFull, ClickHouseUnavailable

CONNECT_TIMEOUT_SECONDS = 3
# The driver's own; work that ClickHouse does may be silent for long.
SILENCE_SECONDS = 300
AUTHENTICATION_FAILED = 516  # The driver's own list of codes stops before it.
TOO_FEW_LIVE_REPLICAS = 285
# A node or the keeper between them went away in the middle: the next try finds those that are left.
INTERRUPTED = (
    ErrorCodes.ABORTED,
    TOO_FEW_LIVE_REPLICAS,
    ErrorCodes.NO_ZOOKEEPER,
    ErrorCodes.TABLE_IS_READ_ONLY,
    ErrorCodes.UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE,
    ErrorCodes.UNKNOWN_STATUS_OF_INSERT,
    ErrorCodes.KEEPER_EXCEPTION,
)
# What the system says, under several codes of ClickHouse.
NO_SPACE = "No space left on device"
GIGABYTE = 1024**3
INSERT = re.compile(r"^\s*INSERT INTO", re.MULTILINE)  # comments may stand before it
# Nobody there, gone in the middle, or something else than a ClickHouse behind the port.
UNREACHABLE = (NetworkError, SocketTimeoutError, UnexpectedPacketFromServerError, EOFError, ConnectionError)

# What a page asks for, and what the pipeline's own work may take.
READ_LIMITS: Mapping[str, Any] = {
    "max_execution_time": 20,
    "max_memory_usage": 2 * GIGABYTE,
    # What does not fit is grouped on disk: slower, but answered.
    "max_bytes_before_external_group_by": GIGABYTE * 7 // 10,
    # A row's key decides its partition, so duplicates never lie in two of them.
    "do_not_merge_across_partitions_select_final": 1,
}
# What a cluster needs besides. An INSERT is acknowledged when every node that is up has its rows, else a
# node lost in the next second would take them along. Blocks that look alike are stored all the same:
# ReplacingMergeTree knows doubles, and a retry must never find itself taken for one that had succeeded.
# DDL waits for the nodes that are up; the others find it in the queue when they come back.
CLUSTER_LIMITS: Mapping[str, Any] = {
    "insert_deduplicate": 0,
    "insert_quorum_timeout": 15_000,
    "distributed_ddl_output_mode": "none_only_active",
    "lightweight_deletes_sync": 1,
}
# What is asked for a reader: nothing can be written by it, whatever the text says.
ASK_LIMITS: Mapping[str, Any] = {**READ_LIMITS, "readonly": 2}
WORK_LIMITS: Mapping[str, Any] = {
    **READ_LIMITS,
    "max_execution_time": 1200,
    "max_memory_usage": 4 * GIGABYTE,
    "max_bytes_before_external_group_by": 5 * GIGABYTE // 2,
    # A refill may bring more months than the 100 that one block is allowed by default.
    "max_partitions_per_insert_block": 0,
}

# The driver logs each failed attempt with its traceback; ClickHouseUnavailable says it in one line.
logging.getLogger("clickhouse_driver.connection").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Answer:
    rows: Sequence[tuple[Any, ...]]
    written: int


class Connection:
    """An open connection; whatever its verbs do goes within limits."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(
        self,
        query: str,
        params: Mapping[str, Any] | None = None,
        *,
        limits: Mapping[str, Any] = READ_LIMITS,
    ) -> Answer:
        rows = self._client.execute(query, params, settings={**limits, **self._for_cluster(query)})
        progress = self._client.last_query.progress
        return Answer(
            rows=rows if isinstance(rows, list) else [],
            written=getattr(progress, "written_rows", 0) or 0,
        )

    def columns(self, query: str, params: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the pipeline's own read by columns, none where there is no row."""
        columns: Sequence[Sequence[Any]] = self._client.execute(
            query, params, columnar=True, settings={**WORK_LIMITS, **self._for_cluster(query)}
        )
        return columns

    def insert(self, query: str, columns: Sequence[Sequence[Any]]) -> None:
        """Store what Python computed, given by columns of one length, one row or more."""
        for_work = {**WORK_LIMITS, **self._for_cluster(query)}
        self._client.execute(query, columns, columnar=True, settings=for_work)

    def _for_cluster(self, query: str) -> Mapping[str, Any]:
        if not settings.CLICKHOUSE_CLUSTER:
            return {}
        if not INSERT.search(query):
            return CLUSTER_LIMITS
        [(nodes,)] = self._client.execute(
            "SELECT max(active_replicas) FROM system.replicas WHERE database = currentDatabase()"
        )
        return {**CLUSTER_LIMITS, "insert_quorum": nodes if nodes > 1 else 0}


def database() -> str:
    """Return the name of the database that CLICKHOUSE_URL points at."""
    return urlsplit(settings.CLICKHOUSE_URL).path.strip("/") or "default"


def with_database(url: str, name: str) -> str:
    """Return `url` pointing at another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def driver_url(url: str) -> str:
    """Return an address of several hosts as the driver reads it: one host, the others its alternatives."""
    address = urlsplit(url)
    user, _, hosts = address.netloc.rpartition("@")
    first, *others = hosts.split(",")
    if not others:
        return url
    query = "&".join(filter(None, [address.query, urlencode({"alt_hosts": ",".join(others)}, safe=":,")]))
    return urlunsplit(address._replace(netloc=f"{user}@{first}" if user else first, query=query))


@contextmanager
def connect(*, to: str | None = None, silence_seconds: int = SILENCE_SECONDS) -> Iterator[Connection]:
    """Open a connection to the settings' database, or to the one named `to`.

    silence_seconds  after so long without a word from the server it counts as away

    Raises ClickHouseUnavailable when the server is not there, refuses the password, was not migrated, or
    stops a query that took too long or too much memory.
    """
    if not settings.CLICKHOUSE_URL:
        raise ClickHouseUnavailable("CLICKHOUSE_URL is not set and no embedded server was started.")
    url = with_database(settings.CLICKHOUSE_URL, to) if to else settings.CLICKHOUSE_URL
    address = urlsplit(url)
    hosts = address.netloc.rpartition("@")[2]
    if address.scheme not in ("clickhouse", "clickhouses") or not all(hosts.split(",")):
        raise ClickHouseUnavailable("CLICKHOUSE_URL must read clickhouse://user:password@host:port/database.")
    where = " or ".join(host if ":" in host else f"{host}:9000" for host in hosts.split(","))
    client = Client.from_url(driver_url(url))
    client.connection.connect_timeout = CONNECT_TIMEOUT_SECONDS
    client.connection.send_receive_timeout = silence_seconds
    try:
        yield Connection(client)
    except UNREACHABLE as error:
        raise ClickHouseUnavailable(f"ClickHouse at {where} does not answer: {_first_line(error)}") from error
    except ServerException as error:
        if error.code == AUTHENTICATION_FAILED:
            raise ClickHouseUnavailable(f"ClickHouse at {where} refuses the user or the password.") from error
        if error.code in (ErrorCodes.TIMEOUT_EXCEEDED, ErrorCodes.MEMORY_LIMIT_EXCEEDED):
            raise ClickHouseUnavailable(
                f"ClickHouse at {where} stopped a query at its limit: {_first_line(error)}"
            ) from error
        if error.code == ErrorCodes.NOT_ENOUGH_SPACE or NO_SPACE in str(error):
            raise ClickHouseFull(
                f"ClickHouse at {where} has no room on its disk: make some, the next run carries what waits."
                f" {_first_line(error)}"
            ) from error
        if error.code in INTERRUPTED:
            raise ClickHouseUnavailable(
                f"ClickHouse at {where} lost a node in the middle of the work: {_first_line(error)}"
            ) from error
        if error.code in (ErrorCodes.UNKNOWN_DATABASE, ErrorCodes.UNKNOWN_TABLE):
            raise ClickHouseUnavailable(
                f"ClickHouse at {where} is not migrated: run `manage.py migrate_clickhouse`."
            ) from error
        raise
    finally:
        client.disconnect()


def _first_line(error: Error | OSError) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
