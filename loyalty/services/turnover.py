"""A member's qualifying turnover, added up only when it may lift them (rules.md, Tiers).

What bounds it from above grows with every purchase; the year's purchases are read once that bound
reaches the next tier.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import orjson
from django.conf import settings

from svoykrug.db.sql import Rows

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
KOPECKS = 100

# Whole numbers in two arrays: reading dates and decimals row by row took most of an import's time.
PAID = """
    SELECT user_id,
        json_agg((extract(epoch FROM created_at) * 1000000)::bigint)::text,
        json_agg((amount_paid * 100)::bigint)::text
    FROM transactions WHERE user_id = ANY(%s::uuid[]) AND created_at > %s GROUP BY user_id
"""


@dataclass(slots=True)
class Paid:
    """What a member paid and when: kopecks, less than zero for refunds, and microseconds since 1970."""

    times: list[int] = field(default_factory=list)
    kopecks: list[int] = field(default_factory=list)

    def add(self, roubles: Decimal, *, at: datetime) -> None:
        self.times.append(_microseconds(at))
        self.kopecks.append(int(roubles * KOPECKS))

    def turnover(self, at: datetime) -> Decimal:
        """Return roubles paid in the year up to that moment, net of refunds."""
        until = _microseconds(at)
        since = until - timedelta(days=settings.TURNOVER_WINDOW_DAYS) // MICROSECOND
        pairs = zip(self.times, self.kopecks, strict=True)
        return _roubles(sum(paid for when, paid in pairs if since < when <= until))

    def bound(self) -> Decimal:
        """Return roubles that the turnover of no moment from the first one read on can exceed."""
        return _roubles(sum(paid for paid in self.kopecks if paid > 0))


def load_paid(members: Collection[UUID], rows: Rows) -> dict[UUID, Paid]:
    """Return what the rows of `PAID` say of each of the members."""
    found = {member_id: Paid(orjson.loads(times), orjson.loads(paid)) for member_id, times, paid in rows}
    return {pk: found.get(pk) or Paid() for pk in members}


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _roubles(kopecks: int) -> Decimal:
    return Decimal(kopecks).scaleb(-2)
