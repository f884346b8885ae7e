"""Members' segments of the latest snapshot, handed over by the analytics for the conditions of offers."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic

STORE = """
    INSERT INTO member_segments (id, created_at, user_id, segment, snapshot_date)
    SELECT gen_random_uuid(), now(), u.id, r.segment, %(snapshot_date)s
    FROM unnest(%(members)s::uuid[], %(segments)s::text[]) AS r(user_id, segment)
    JOIN users u ON u.id = r.user_id
    WHERE r.segment <> ''
    ORDER BY u.id
    ON CONFLICT (user_id) DO UPDATE
    SET segment = excluded.segment, snapshot_date = excluded.snapshot_date
"""
FORGET = "DELETE FROM member_segments WHERE user_id = ANY(%s::uuid[])"


@atomic
def store(rows: Iterable[tuple[UUID, str]], *, snapshot_date: date) -> int:
    """Keep the segments that a snapshot changes; the others stay as they are.

    rows  member and segment, each member once; an empty one for who is in no segment any more

    Returns how many changed. May be repeated. The caller sees to it that no older snapshot comes later.
    """
    pairs = list(rows)
    if not pairs:
        return 0
    members, segments = [pk for pk, _ in pairs], [segment for _, segment in pairs]
    with connection.cursor() as cursor:
        cursor.execute(STORE, {"members": members, "segments": segments, "snapshot_date": snapshot_date})
        cursor.execute(FORGET, [[pk for pk, segment in pairs if not segment]])
    return len(pairs)
