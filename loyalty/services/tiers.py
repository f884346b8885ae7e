"""Tiers rise when the year's turnover reaches a threshold (specification, rules.md, Tiers)."""

from datetime import datetime, timedelta
from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.db import connection
from django.db.transaction import atomic
from django.utils import timezone


def tier_holds_until(risen_at: datetime) -> datetime:
    """Return the end of the month 12 months after a rise, in programme time."""
    local = timezone.localtime(risen_at)
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return timezone.make_aware((first + relativedelta(months=13)).replace(tzinfo=None))


@atomic
def raise_tiers(*, at: datetime) -> dict[UUID, int]:
    """Raise every member whose turnover of the last 12 months has reached a higher tier.

    Returns the new levels by member. Never lowers: that is the monthly review's. May run twice.
    Locks the members it raises, in the order of their keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH turnover AS (
                SELECT user_id, sum(amount_paid) AS paid FROM transactions
                WHERE created_at > %(since)s AND created_at <= %(at)s GROUP BY user_id
            ), risen AS (
                SELECT u.id, higher.id AS tier_id, higher.level
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
            RETURNING users.id, risen.level
            """,
            {
                "at": at,
                "since": at - timedelta(days=settings.TURNOVER_WINDOW_DAYS),
                "until": tier_holds_until(at),
            },
        )
        return dict(cursor.fetchall())
