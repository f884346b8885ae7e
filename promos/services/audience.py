"""Whom a campaign addresses: SQL conditions on a row `u` of `users`."""

from datetime import datetime, timedelta
from typing import Any

from promos.models import CouponCampaign

IS_MEMBER = "u.is_active AND u.anonymised_at IS NULL AND NOT u.is_sandbox"
OF_TIERS = "u.status_tier IN (SELECT id FROM status_tiers WHERE level = ANY(%s::int[]))"
OF_SEGMENTS = "u.id IN (SELECT user_id FROM member_segments WHERE segment = ANY(%s::text[]))"
BUYS = "t.user_id = u.id AND t.business_id = %s AND t.kind = 'purchase'"
BOUGHT = f"EXISTS (SELECT 1 FROM transactions t WHERE {BUYS})"  # noqa: S608
BOUGHT_SINCE = f"EXISTS (SELECT 1 FROM transactions t WHERE {BUYS} AND t.created_at >= %s)"  # noqa: S608


def audience(campaign: CouponCampaign, *, at: datetime) -> tuple[str, list[Any]]:
    """Return the condition and its values: every one of the campaign's conditions must hold.

    Members of a partner are those who have bought there; only a campaign that `reaches_everybody`
    goes further.
    """
    parts: list[tuple[str, list[Any]]] = [(IS_MEMBER, [])]
    if campaign.tiers:
        parts.append((OF_TIERS, [campaign.tiers]))
    if campaign.segments:
        parts.append((OF_SEGMENTS, [campaign.segments]))
    if campaign.bought_within_days is not None:
        since = at - timedelta(days=campaign.bought_within_days)
        parts.append((BOUGHT_SINCE, [campaign.business_id, since]))
    elif not campaign.reaches_everybody:
        parts.append((BOUGHT, [campaign.business_id]))
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]
