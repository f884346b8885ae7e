"""Tiers rise with the year's turnover and are reviewed once a year (specification, rules.md, Tiers).

A purchase that reaches a threshold raises its member at once; here are the nightly safety net and
the monthly review. Both measure the turnover of the last `TURNOVER_WINDOW_DAYS`, net of refunds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.db import connection
from django.db.transaction import atomic
from django.utils import timezone

from loyalty.locks import lock_members
from loyalty.models import Member, TierChange

MEMBERS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Review:
    """What a monthly review came to, in members."""

    kept: int = 0
    lowered: int = 0

    def __add__(self, other: "Review") -> "Review":
        return Review(self.kept + other.kept, self.lowered + other.lowered)


def tier_holds_until(decided_at: datetime) -> datetime:
    """Return the end of the month 12 months after a rise or a review, in programme time."""
    local = timezone.localtime(decided_at)
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return timezone.make_aware((first + relativedelta(months=13)).replace(tzinfo=None))


RAISE = """
WITH turnover AS (
    SELECT user_id, sum(amount_paid) AS paid FROM transactions
    WHERE created_at > %(since)s AND created_at <= %(at)s GROUP BY user_id
), risen AS (
    SELECT u.id, current.level AS from_level, higher.id AS tier_id, higher.level, turnover.paid
    FROM users u
    JOIN turnover ON turnover.user_id = u.id
    JOIN status_tiers current ON current.id = u.status_tier
    JOIN LATERAL (
        SELECT id, level FROM status_tiers t
        WHERE t.threshold_rub <= turnover.paid AND t.level > current.level
        ORDER BY t.level DESC LIMIT 1
    ) higher ON true
    ORDER BY u.id
    FOR NO KEY UPDATE OF u
)
UPDATE users SET status_tier = risen.tier_id, tier_valid_until = %(until)s, updated_at = %(at)s
FROM risen WHERE users.id = risen.id
RETURNING users.id, risen.from_level, risen.level, risen.paid
"""


@atomic
def raise_tiers(*, at: datetime) -> dict[UUID, int]:
    """Raise every member whose turnover of the last 12 months has reached a higher tier.

    Returns the new levels by member. Never lowers: that is the monthly review's. May run twice.
    Locks the members it raises, in the order of their keys.
    """
    risen = _rows(RAISE, _measure(at))
    _record(risen, TierChange.Reason.RISE, at)
    return {member_id: level for member_id, _, level, _ in risen}


# The tier below is joined before the turnover is measured: the lowest tier has none and never expires.
REVIEW = """
WITH measured AS (
    SELECT u.id, current.level AS from_level, current.threshold_rub, below.id AS below_id, below.level,
           coalesce(turnover.paid, 0) AS paid
    FROM users u
    JOIN status_tiers current ON current.id = u.status_tier
    JOIN LATERAL (
        SELECT id, level FROM status_tiers t WHERE t.level < current.level ORDER BY t.level DESC LIMIT 1
    ) below ON true
    CROSS JOIN LATERAL (
        SELECT sum(amount_paid) AS paid FROM transactions
        WHERE user_id = u.id AND created_at > %(since)s AND created_at <= %(at)s
    ) turnover
    WHERE u.id = ANY(%(members)s) AND u.tier_valid_until <= %(at)s
)
UPDATE users SET
    status_tier = CASE WHEN paid >= threshold_rub THEN status_tier ELSE below_id END,
    tier_valid_until = CASE WHEN paid < threshold_rub AND level = 1 THEN NULL ELSE %(until)s END,
    updated_at = %(at)s
FROM measured WHERE users.id = measured.id
RETURNING users.id, from_level, CASE WHEN paid >= threshold_rub THEN from_level ELSE level END, paid
"""


def review_tiers(*, at: datetime) -> Review:
    """Review the members whose tier held until now: keep it for another year, or lower it by one level.

    A tier is kept if the turnover of the last 12 months still reaches its threshold. Either way the
    tier then holds until the end of the month 12 months after `at`; level 1 never expires.
    May run twice and beside purchases: the turnover is measured under the members' locks, a
    thousand at a time.
    """
    review, last = Review(), UUID(int=0)
    while members := _due_after(last, at):
        review, last = review + _review_members(members, at), members[-1]
    return review


def _due_after(last: UUID, at: datetime) -> list[UUID]:
    due = Member.objects.filter(tier_valid_until__lte=at, status_tier__level__gt=1, pk__gt=last)
    return list(due.order_by("pk").values_list("pk", flat=True)[:MEMBERS_AT_ONCE])


@atomic
def _review_members(member_ids: list[UUID], at: datetime) -> Review:
    # A purchase that was under way is stored before its member is measured.
    locked = lock_members(member_ids)
    reviewed = _rows(REVIEW, _measure(at) | {"members": list(locked)})
    lowered = [row for row in reviewed if row[1] != row[2]]
    _record(lowered, TierChange.Reason.REVIEW, at)
    return Review(kept=len(reviewed) - len(lowered), lowered=len(lowered))


def _measure(at: datetime) -> dict[str, Any]:
    since = at - timedelta(days=settings.TURNOVER_WINDOW_DAYS)
    return {"at": at, "since": since, "until": tier_holds_until(at)}


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[UUID, int, int, Decimal]]:
    """Return member, level before, level after and the turnover measured."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[UUID, int, int, Decimal]] = cursor.fetchall()
    return rows


def _record(steps: Iterable[tuple[UUID, int, int, Decimal]], reason: str, at: datetime) -> None:
    TierChange.objects.bulk_create(
        [
            TierChange(
                member_id=member_id,
                from_level=before,
                to_level=after,
                reason=reason,
                turnover_rub=paid,
                created_at=at,
            )
            for member_id, before, after, paid in steps
        ],
        batch_size=MEMBERS_AT_ONCE,
    )
