"""When each job last ended well and last failed, kept in Redis for the scrape."""

import logging
import time
from typing import Any

import redis
from celery import Task, signals

from svoykrug.redis_client import redis_client

logger = logging.getLogger(__name__)
SUCCEEDED, FAILED = "svoykrug:jobs:succeeded", "svoykrug:jobs:failed"


@signals.task_success.connect
def note_success(sender: Task, **_signal: Any) -> None:
    _note(SUCCEEDED, sender.name)


@signals.task_failure.connect
def note_failure(sender: Task, **_signal: Any) -> None:
    _note(FAILED, sender.name)


def last_times(key: str) -> dict[str, float]:
    """Return the moment, as a Unix time, by the job's name; raises redis.RedisError."""
    times: dict[str, str] = redis_client().hgetall(key)  # type: ignore[assignment]
    return {name: float(value) for name, value in times.items()}


def _note(key: str, name: str) -> None:
    try:
        redis_client().hset(key, name, f"{time.time():.0f}")
    except redis.RedisError as error:
        logger.warning("Redis is away (%s): the end of %s is not noted", type(error).__name__, name)
