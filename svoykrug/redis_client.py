"""The one Redis client of a process, for counters and codes that must be atomic."""

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


def client_of(address: str, **options: object) -> "redis.Redis":
    """Return a client that opens anew what Redis has closed, and never waits for it to come back."""
    return redis.Redis.from_url(
        address, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 1), **options
    )


@cache
def redis_client() -> "redis.Redis":
    """Return a client over a shared pool; commands raise redis.RedisError when the server is away."""
    return client_of(settings.REDIS_URL, decode_responses=True, health_check_interval=30)


@cache
def queue_client() -> "redis.Redis":
    """Return a client of the database where Celery keeps the jobs that wait."""
    address = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return client_of(address)
