"""Row locks and their one order: members, then coupons, then chains; within a table by primary key."""

from collections.abc import Collection
from uuid import UUID

from .models import Member


def lock_members(member_ids: Collection[UUID]) -> dict[UUID, Member]:
    """Hold every bonus movement of these members until the transaction ends.

    Returns the members that exist and have not left. Waits at most `lock_timeout` (3 s).
    """
    # no_key: rows that merely point at a member, such as a registration, need not wait.
    members = (
        Member.objects.select_for_update(no_key=True)
        .filter(pk__in=member_ids, is_active=True, anonymised_at=None)
        .only("id", "status_tier_id")
        .order_by("pk")
    )
    return {member.pk: member for member in members}
