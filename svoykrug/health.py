"""Is the process alive; can it serve."""

import logging
from collections.abc import Callable

import redis
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from analytics.clickhouse.client import driver_url
from svoykrug.redis_client import redis_client

logger = logging.getLogger(__name__)
OK, AWAY = "ok", "unavailable"
SERVERS = ("postgresql", "redis", "clickhouse")


@csrf_exempt  # another method is answered with 405, not with a page
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of the servers behind it."""
    return JsonResponse({"status": "ok"})


@csrf_exempt  # another method is answered with 405, not with a page
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """PostgreSQL and Redis answer. Analytics away is said, but a till works without it."""
    checks = ask_servers()
    ready = checks["postgresql"] == checks["redis"] == OK
    status = "ready" if ready else "not ready"
    return JsonResponse({"status": status, "checks": checks}, status=200 if ready else 503)


def ask_servers() -> dict[str, str]:
    """Return OK or AWAY for each server."""
    return {
        "postgresql": _try(_ask_postgresql),
        "redis": _try(_ask_redis),
        "clickhouse": _try(_ask_clickhouse),
    }


def _try(ask: Callable[[], None]) -> str:
    try:
        ask()
    except (DatabaseError, redis.RedisError, ClickHouseError, OSError, EOFError, ValueError) as error:
        # ClickHouse adds its own stack.
        said = str(error).strip().partition("\n")[0]
        logger.warning("%s: %s %s", ask.__name__.removeprefix("_ask_"), type(error).__name__, said)
        return AWAY
    return OK


def _ask_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_redis() -> None:
    redis_client().ping()


def _ask_clickhouse() -> None:
    address = driver_url(settings.CLICKHOUSE_URL)
    separator = "&" if "?" in address else "?"
    client = Client.from_url(f"{address}{separator}connect_timeout=1&send_receive_timeout=2")
    try:
        client.execute("SELECT 1")
    finally:
        client.disconnect()
