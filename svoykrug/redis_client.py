"""The one Redis client of a process, for counters and codes that must be atomic."""

from functools import cache

import redis
from django.conf import settings


@cache
def redis_client() -> "redis.Redis":
    """Return a client over a shared pool; commands raise redis.RedisError when the server is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=2,
        health_check_interval=30,
    )


@cache
def queue_client() -> "redis.Redis":
    """Return a client of the database where Celery keeps the jobs that wait."""
    address = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return redis.Redis.from_url(address, socket_connect_timeout=2, socket_timeout=2)
