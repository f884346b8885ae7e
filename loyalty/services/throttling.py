"""How often the API may be called: per key, per member, per address.

Counters live in Redis, one for each caller and minute. A web process takes its share of a minute
in portions of a hundredth, so a busy till costs one round trip in a hundred calls; a limit below a
hundred is counted call by call. Portions are counted when taken, so the limit is never passed;
what several processes took and did not use is lost to the caller until the minute ends.
"""

import logging
import threading
import time
from datetime import datetime
from typing import cast

import redis
from django.utils.translation import gettext as _

from loyalty.errors import TooManyRequests
from loyalty.services.limits import Limit
from svoykrug.redis_client import redis_client

logger = logging.getLogger(__name__)

PORTIONS = 100
# So long nobody asks a Redis that did not answer: its timeout would stand before every call.
PAUSE_SECONDS = 5.0

# Takes a portion, or what is left of the limit.
TAKE = """
local taken = math.min(tonumber(ARGV[2]), tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[1]) or '0'))
if taken <= 0 then return 0 end
redis.call('INCRBY', KEYS[1], taken)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return taken
"""


class Portions:
    """What this process may still let through in the present minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._minute = 0
        self._away_until = 0.0

    def take(self, limit: Limit, at: datetime) -> bool:
        """Count one call; say whether it is within the limit. Without Redis every call is."""
        with self._lock:
            minute = int(at.timestamp()) // limit.seconds
            if minute != self._minute:
                self._minute, self._left = minute, {}
            name = f"{limit.name}:{limit.subject}"
            left = self._left.get(name, 0) or self._more(limit, at)
            self._left[name] = max(left - 1, 0)
            return left > 0

    def _more(self, limit: Limit, at: datetime) -> int:
        if time.monotonic() < self._away_until:
            return 1
        arguments = (limit.most, max(limit.most // PORTIONS, 1), limit.seconds)
        try:
            return cast("int", redis_client().eval(TAKE, 1, limit.key(at), *arguments))
        except redis.RedisError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("Redis is away (%s): calls of the API are not limited", error)
            return 1


_portions = Portions()


def check_rate(limit: Limit, *, at: datetime) -> None:
    """Count a call against the limit. Raises TooManyRequests."""
    if not _portions.take(limit, at):
        raise TooManyRequests(
            _("Too many calls. Wait a little and repeat."), retry_after=limit.seconds_left(at)
        )
