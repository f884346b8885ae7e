"""Row locks and their one order: campaigns, members, coupons, offers, chains; in a table by primary key."""

from collections.abc import Collection
from uuid import UUID

from svoykrug.db.sql import read

# Holds every movement of these members' bonuses until the transaction ends; waits at most
# `lock_timeout` (3 s). NO KEY: rows that merely point at a member need not wait.
# Gives id, tier and inviter of those who exist and have not left. No table is joined: after a wait
# PostgreSQL would look at the joined row as it was before, and lose a member whose tier has changed.
LOCK_MEMBERS = """
    SELECT id, status_tier, referred_by FROM users
    WHERE id = ANY(%s::uuid[]) AND is_active AND anonymised_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""


def lock_members(member_ids: Collection[UUID]) -> set[UUID]:
    """Lock these members; return those who exist and have not left."""
    return {row[0] for row in read((LOCK_MEMBERS, [list(member_ids)]))[0]}
