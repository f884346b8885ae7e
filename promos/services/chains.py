"""A chain's life: proposed by the source, agreed by the target, paused by either."""

from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from loyalty.models import Member, StaffMembership
from promos.errors import ChainRefused
from promos.models import CrossPromoChain

Status = CrossPromoChain.Status
DECIDES = (StaffMembership.Role.OWNER, StaffMembership.Role.MANAGER)


def _decides_for(member: Member, business_id: UUID) -> bool:
    return (
        member.is_programme_staff
        or member.staff_memberships.filter(business_id=business_id, role__in=DECIDES).exists()
    )


def _lock(chain_id: UUID) -> CrossPromoChain:
    return CrossPromoChain.objects.select_for_update().get(pk=chain_id)


@atomic
def propose(chain_id: UUID, *, by: Member) -> CrossPromoChain:
    """Offer a drafted chain to its target. Raises ChainRefused unless the source's owner or manager asks."""
    chain = _lock(chain_id)
    if not _decides_for(by, chain.source_business_id):
        raise ChainRefused("Only the source's owner or manager proposes a chain.")
    if chain.status != Status.DRAFT:
        raise ChainRefused("Only a draft can be proposed.")
    chain.status = Status.PROPOSED
    chain.save(update_fields=["status", "updated_at"])
    return chain


@atomic
def accept(chain_id: UUID, *, by: Member, at: datetime) -> CrossPromoChain:
    """Agree to a proposed or paused chain for the target; it runs for purchases from `at` on.

    Raises ChainRefused unless the target's owner or manager, or the programme, asks.
    """
    chain = _lock(chain_id)
    if not _decides_for(by, chain.target_business_id):
        raise ChainRefused("Only the target's owner or manager accepts a chain.")
    if chain.status not in (Status.PROPOSED, Status.PAUSED):
        raise ChainRefused("Only a proposed or paused chain can be accepted.")
    chain.status, chain.accepted_by, chain.accepted_at = Status.ACTIVE, by, at
    chain.save(update_fields=["status", "accepted_by", "accepted_at", "updated_at"])
    return chain


@atomic
def pause(chain_id: UUID, *, by: Member) -> CrossPromoChain:
    """Stop an active chain; coupons already issued stay valid. Either side may."""
    chain = _lock(chain_id)
    if not (_decides_for(by, chain.source_business_id) or _decides_for(by, chain.target_business_id)):
        raise ChainRefused("Only an owner or manager of either side pauses a chain.")
    if chain.status != Status.ACTIVE:
        raise ChainRefused("Only an active chain can be paused.")
    chain.status = Status.PAUSED
    chain.save(update_fields=["status", "updated_at"])
    return chain
