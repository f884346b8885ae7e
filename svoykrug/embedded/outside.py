"""Servers named by the environment: nothing embedded is started for them, but they must answer."""

from collections.abc import Callable

import psycopg
import redis
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from analytics.clickhouse.client import driver_url
from svoykrug.embedded.errors import EmbeddedError

SCHEMES = {
    "DATABASE_URL": ("postgres", "postgresql"),
    "CLICKHOUSE_URL": ("clickhouse", "clickhouses"),
    "REDIS_URL": ("redis", "rediss", "unix"),
}
CONNECT_SECONDS = 5


def reach(variable: str, address: str) -> None:
    """Refuse an address that is malformed or where no such server answers."""
    scheme = address.partition("://")[0]
    if scheme not in SCHEMES[variable]:
        expected = " or ".join(f"{known}://" for known in SCHEMES[variable])
        raise EmbeddedError(f"{variable} does not begin with {expected}.")
    try:
        _KNOCKS[variable](address)
    except (psycopg.Error, ClickHouseError, redis.RedisError, OSError, EOFError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EmbeddedError(f"{variable} names a server that does not answer: {said}.") from error


def _knock_postgres(address: str) -> None:
    psycopg.connect(address, connect_timeout=CONNECT_SECONDS).close()


def _knock_clickhouse(address: str) -> None:
    client = Client.from_url(driver_url(address))
    client.connection.connect_timeout = CONNECT_SECONDS
    try:
        client.execute("SELECT 1")
    finally:
        client.disconnect()


def _knock_redis(address: str) -> None:
    client = redis.Redis.from_url(
        address, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
    )
    try:
        client.ping()
    finally:
        client.close()


_KNOCKS: dict[str, Callable[[str], None]] = {
    "DATABASE_URL": _knock_postgres,
    "CLICKHOUSE_URL": _knock_clickhouse,
    "REDIS_URL": _knock_redis,
}
