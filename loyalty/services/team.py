"""Who works at a business: joining a team lets a member into the admin, leaving the last one ends that."""

from django.db.transaction import atomic

from loyalty.models import Business, Member, StaffMembership


@atomic
def join_team(*, member: Member, business: Business, role: str) -> StaffMembership:
    """Put the member into the team, or change the role there."""
    membership, _created = StaffMembership.objects.update_or_create(
        member=member, business=business, defaults={"role": role}
    )
    Member.objects.filter(pk=member.pk, is_staff=False).update(is_staff=True)
    return membership


@atomic
def leave_team(membership: StaffMembership) -> None:
    """Take the member out of the team."""
    membership.delete()
    if not StaffMembership.objects.filter(member_id=membership.member_id).exists():
        Member.objects.filter(pk=membership.member_id).update(is_staff=False)
