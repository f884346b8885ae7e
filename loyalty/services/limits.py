"""Counters in Redis: a request that is rolled back still counts."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.conf import settings
from django.utils.translation import gettext as _

from loyalty.errors import TooManyRequests
from svoykrug.redis_client import redis_client

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` times for one `subject` in a window of `seconds`."""

    name: str
    subject: str
    most: int
    seconds: int

    def key(self, at: datetime) -> str:
        return f"{self.name}:{keyed_hash(self.subject)}:{int(at.timestamp()) // self.seconds}"

    def seconds_left(self, at: datetime) -> int:
        return self.seconds - int(at.timestamp()) % self.seconds


# Counts against every limit or, when one of them is spent, against none; returns that one's number.
TAKE = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[2 * i - 1]) then return i end
end
for i, key in ipairs(KEYS) do
  redis.call('INCR', key)
  redis.call('EXPIRE', key, ARGV[2 * i])
end
return 0
"""


def count(limits: list[Limit], at: datetime) -> None:
    """Count one request against all the limits; raises TooManyRequests or redis.RedisError."""
    keys = [limit.key(at) for limit in limits]
    arguments = [figure for limit in limits for figure in (limit.most, limit.seconds)]
    spent = cast("int", redis_client().eval(TAKE, len(keys), *keys, *arguments))
    if spent:
        raise TooManyRequests(
            _("Too many tries. Wait a little and repeat."), retry_after=limits[spent - 1].seconds_left(at)
        )


def keyed_hash(text: str) -> str:
    """Six digits are guessed from a plain hash in a second; without SECRET_KEY they are not."""
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
