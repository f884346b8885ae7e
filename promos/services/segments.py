"""Members' segments of the latest snapshot, handed over by the analytics for the conditions of offers."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic

from promos.models import MemberSegment

STORE = """
    INSERT INTO member_segments (id, created_at, user_id, segment, snapshot_date)
    SELECT gen_random_uuid(), now(), u.id, r.segment, %(snapshot_date)s
    FROM unnest(%(members)s::uuid[], %(segments)s::text[]) AS r(user_id, segment)
    JOIN users u ON u.id = r.user_id
    ORDER BY u.id
    ON CONFLICT (user_id) DO UPDATE
    SET segment = excluded.segment, snapshot_date = excluded.snapshot_date
"""
FORGET = """
    DELETE FROM member_segments s
    WHERE NOT EXISTS (SELECT FROM unnest(%s::uuid[]) AS r(user_id) WHERE r.user_id = s.user_id)
"""


@atomic
def store(rows: Iterable[tuple[UUID, str]], *, snapshot_date: date) -> int:
    """Keep the segment of each member; whoever is not in the snapshot has none any more.

    rows  member and segment, all of one snapshot, each member once

    Returns how many members the snapshot named. May be repeated; a snapshot older than the one that
    is kept changes nothing.
    """
    if MemberSegment.objects.filter(snapshot_date__gt=snapshot_date).exists():
        return 0
    pairs = list(rows)
    members, segments = [pk for pk, _ in pairs], [segment for _, segment in pairs]
    with connection.cursor() as cursor:
        cursor.execute(STORE, {"members": members, "segments": segments, "snapshot_date": snapshot_date})
        cursor.execute(FORGET, [members])
    return len(pairs)
