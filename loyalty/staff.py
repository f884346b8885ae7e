"""Whose rows a person of staff may see: those of their own businesses, as their role there allows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.auth.models import AnonymousUser

from loyalty.models import Member, StaffMembership

Role = StaffMembership.Role
OWNERS = frozenset({Role.OWNER})
MANAGERS = frozenset({Role.OWNER, Role.MANAGER})
EVERYONE = frozenset(Role)
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The businesses whose rows a person of staff may see.

    business_ids  of every membership; None: programme staff, who see all
    reports       whether reports and money are theirs to see: not a cashier's
    report_business_ids  the businesses they may see reports of: one may own a shop and
                         stand at the till of another
    """

    business_ids: frozenset[UUID] | None
    reports: bool
    report_business_ids: frozenset[UUID] | None
    roles: Mapping[UUID, str] = field(default_factory=dict)

    @property
    def is_programme(self) -> bool:
        return self.business_ids is None

    def within(self, roles: Collection[str]) -> frozenset[UUID] | None:
        """Return the businesses where the person holds one of the roles; None means all."""
        if self.business_ids is None:
            return None
        return frozenset(business for business, role in self.roles.items() if role in roles)


def staff_scope(member: Member | AnonymousUser) -> Scope:
    """Return what a person of staff may see; nothing for anybody else. One query per request."""
    if not (member.is_authenticated and member.is_active and member.is_staff):
        return Scope(business_ids=frozenset(), reports=False, report_business_ids=frozenset())
    if (known := getattr(member, "_staff_scope", None)) is None:
        known = member._staff_scope = _read_scope(member)
    return known


def _read_scope(member: Member) -> Scope:
    memberships = list(member.staff_memberships.values_list("business_id", "role", "business__is_programme"))
    if any(is_programme for _business, _role, is_programme in memberships):
        return Scope(business_ids=None, reports=True, report_business_ids=None)
    roles = {business: role for business, role, _is_programme in memberships}
    reported = frozenset(business for business, role in roles.items() if role in MANAGERS)
    return Scope(
        business_ids=frozenset(roles), reports=bool(reported), report_business_ids=reported, roles=roles
    )
