"""A chain's life: proposed by the source, agreed by the target, paused, resumed and ended by either.

Specification, rules.md, "Cross-promotion chains": a change of terms asks for consent again, and each
version and consent is kept. What was agreed stays in force while a change is only proposed.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.models import Member, StaffMembership
from promos.chain_links import Link, link_faults
from promos.chain_terms import differences, faults, frozen, terms_of, thawed
from promos.errors import ChainInvalid, ChainNotReady, ChainRefused
from promos.models import ChainVersion, CrossPromoChain
from svoykrug.db.sql import read
from svoykrug.errors import DomainError

from .announcements import tell_of_chain

Status, Side = CrossPromoChain.Status, CrossPromoChain.Side
Decision = ChainVersion.Decision
DECIDES = (StaffMembership.Role.OWNER, StaffMembership.Role.MANAGER)
LONGEST_REASON = 500
AGREED = (Status.ACTIVE, Status.PAUSED)
SOURCE, TARGET, EITHER = {Side.SOURCE}, {Side.TARGET}, {Side.SOURCE, Side.TARGET}
# Whose step it is, by action and state; the programme may take each. What is missing cannot be done.
STEPS: dict[str, dict[str, Collection[str]]] = {
    "edit": {Status.DRAFT: SOURCE},
    "propose": {Status.DRAFT: SOURCE},
    "change": dict.fromkeys(AGREED, SOURCE),
    "accept": dict.fromkeys((Status.PROPOSED, *AGREED), TARGET),
    "decline": dict.fromkeys((Status.PROPOSED, *AGREED), TARGET),
    "pause": {Status.ACTIVE: EITHER},
    "resume": {Status.PAUSED: EITHER},
    "end": {Status.DRAFT: SOURCE, Status.PROPOSED: SOURCE, **dict.fromkeys(AGREED, EITHER)},
}
BEFORE = """
    WITH RECURSIVE before AS (
        SELECT id, continues, source_business_id, target_business_id, status, 1 AS step
        FROM cross_promo_chains WHERE id = %s
        UNION ALL
        SELECT c.id, c.continues, c.source_business_id, c.target_business_id, c.status, step + 1
        FROM cross_promo_chains c JOIN before ON c.id = before.continues WHERE step < 100
    )
    SELECT source_business_id, target_business_id, status FROM before ORDER BY step
"""


# --- Who and when --------------------------------------------------------------------------------


def sides_of(member: Member, chain: CrossPromoChain) -> set[str]:
    """Return the sides for which the member decides: as owner or manager there, or the programme."""
    if member.is_programme_staff:
        return {Side.PROGRAMME}
    sides = {Side.SOURCE: chain.source_business_id, Side.TARGET: chain.target_business_id}
    own = member.staff_memberships.filter(business_id__in=sides.values(), role__in=DECIDES)
    businesses = set(own.values_list("business_id", flat=True))
    return {side for side, business in sides.items() if business in businesses}


def refusal(
    action: str, chain: CrossPromoChain, sides: Collection[str], *, waiting: bool
) -> DomainError | None:
    """Return why these sides may not take that step now, or None.

    waiting  whether a version waits for the target's answer
    """
    whose = STEPS[action].get(chain.status)
    if not ({*(whose or EITHER), Side.PROGRAMME} & {*sides}):
        return ChainRefused(_("Only an owner or manager of that side decides this."))
    if whose is None:
        return ChainNotReady(_("The chain is %(status)s.") % {"status": chain.get_status_display()})
    if action in ("accept", "decline") and not waiting:
        return ChainNotReady(_("No terms wait for an answer."))
    if action == "change" and waiting:
        return ChainNotReady(_("The other side has not answered the last proposal yet."))
    if action == "resume" and not ({chain.paused_side, Side.PROGRAMME} & {*sides}):
        return ChainRefused(_("Only the side that paused the chain resumes it."))
    return None


def waiting_version(chain: CrossPromoChain) -> ChainVersion | None:
    """Return the version that waits for the target's answer; of an ended chain nobody waits for any."""
    if chain.status == Status.ENDED:
        return None
    return chain.versions.filter(decision="").first()


def _locked(chain_id: UUID, action: str, by: Member) -> tuple[CrossPromoChain, ChainVersion | None, str]:
    """Return the chain, held to the end of the transaction, its waiting version, and who acts.

    Raises ChainRefused or ChainNotReady.
    """
    # no_key: coupons that merely point at the chain need not wait.
    chain = CrossPromoChain.objects.select_for_update(no_key=True).get(pk=chain_id)
    sides, version = sides_of(by, chain), waiting_version(chain)
    if refused := refusal(action, chain, sides, waiting=version is not None):
        raise refused
    acting = sides & {*STEPS[action][chain.status], Side.PROGRAMME}
    return chain, version, chain.paused_side if chain.paused_side in acting else min(acting)


def _save(chain: CrossPromoChain, *fields: str) -> CrossPromoChain:
    chain.save(update_fields=[*fields, "updated_at"])
    return chain


# --- Terms ---------------------------------------------------------------------------------------


def all_faults(chain: CrossPromoChain, terms: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong by field, continuations included."""
    before = [
        Link(source, target, agreed=status in AGREED)
        for source, target, status in (
            read((BEFORE, [terms["continues_id"]]))[0] if terms["continues_id"] else []
        )
    ]
    link = Link(chain.source_business_id, chain.target_business_id)
    return faults(terms, issued=chain.issued_count) | link_faults(link, before)


def _check(chain: CrossPromoChain, terms: Mapping[str, Any]) -> None:
    if found := all_faults(chain, terms):
        field, text = next(iter(found.items()))
        raise ChainInvalid(text, field=field, fields=found)


@atomic
def save_draft(chain: CrossPromoChain, *, by: Member) -> CrossPromoChain:
    """Store a draft. Raises ChainRefused unless the source asks, ChainInvalid for terms that cannot be."""
    if not chain._state.adding:
        _locked(chain.pk, "edit", by)
    if refused := refusal("edit", chain, sides_of(by, chain), waiting=False):
        raise refused
    _check(chain, terms_of(chain))
    chain.save()
    return chain


def _propose(chain: CrossPromoChain, terms: Mapping[str, Any], *, by: Member, at: datetime) -> ChainVersion:
    _check(chain, terms)
    last = chain.versions.aggregate(last=Max("version"))["last"] or 0
    version = ChainVersion.objects.create(
        chain=chain, version=last + 1, terms=frozen(terms), proposed_by=by, created_at=at
    )
    tell_of_chain("chain.proposed", version, business_id=chain.target_business_id, at=at)
    return version


@atomic
def propose(chain_id: UUID, *, by: Member, at: datetime) -> ChainVersion:
    """Offer a draft to its target. Raises ChainRefused, ChainNotReady or ChainInvalid."""
    chain, _version, _side = _locked(chain_id, "propose", by)
    version = _propose(chain, terms_of(chain), by=by, at=at)
    chain.status, chain.version = Status.PROPOSED, version.version
    _save(chain, "status", "version")
    return version


@atomic
def propose_change(chain_id: UUID, terms: Mapping[str, Any], *, by: Member, at: datetime) -> ChainVersion:
    """Offer other terms of a chain that was agreed; those in force stay until the target accepts.

    Raises ChainRefused, ChainNotReady (one change waits already), or ChainInvalid, also when nothing
    differs or the chain would go on from another one.
    """
    chain, _version, _side = _locked(chain_id, "change", by)
    if terms["continues_id"] != chain.continues_id:
        raise ChainInvalid(_("What a chain continues never changes. Propose another one."), field="continues")
    if not differences(frozen(terms_of(chain)), frozen(terms)):
        raise ChainInvalid(_("Nothing differs from the terms in force."))
    return _propose(chain, terms, by=by, at=at)


@atomic
def accept(chain_id: UUID, *, by: Member, at: datetime) -> CrossPromoChain:
    """Agree to the terms that wait, for the target. They rule purchases from `at` on.

    A proposed chain begins to run; a running one goes on, a paused one stays paused.
    Raises ChainRefused, ChainNotReady or ChainInvalid (more coupons are given than it now allows).
    """
    chain, version, _side = _locked(chain_id, "accept", by)
    assert version
    terms = thawed(version.terms)
    _check(chain, terms)
    _decide(version, Decision.ACCEPTED, by=by, at=at)
    tell_of_chain("chain.accepted", version, business_id=chain.source_business_id, at=at)
    for name, value in terms.items():
        setattr(chain, name, value)
    if chain.status == Status.PROPOSED:
        chain.status = Status.ACTIVE
    chain.version, chain.accepted_by, chain.accepted_at = version.version, by, at
    return _save(chain, *terms, "status", "version", "accepted_by", "accepted_at")


@atomic
def decline(chain_id: UUID, *, reason: str, by: Member, at: datetime) -> CrossPromoChain:
    """Refuse the terms that wait, for the target, and say why.

    A first proposal becomes a draft again; an agreed chain goes on as it was.
    Raises ChainRefused, ChainNotReady, or ChainInvalid without a reason.
    """
    chain, version, _side = _locked(chain_id, "decline", by)
    assert version
    if not reason.strip():
        raise ChainInvalid(_("Say why: the other side will read it."), field="reason")
    if len(reason.strip()) > LONGEST_REASON:
        raise ChainInvalid(
            _("Say it in at most %(most)d characters.") % {"most": LONGEST_REASON}, field="reason"
        )
    _decide(version, Decision.DECLINED, by=by, at=at, reason=reason.strip())
    if chain.status == Status.PROPOSED:
        chain.status = Status.DRAFT
        _save(chain, "status")
    return chain


def _decide(version: ChainVersion, decision: str, *, by: Member, at: datetime, reason: str = "") -> None:
    version.decision, version.decided_by, version.decided_at = decision, by, at
    version.reason = reason
    version.save(update_fields=["decision", "decided_by", "decided_at", "reason"])


# --- Running -------------------------------------------------------------------------------------


@atomic
def pause(chain_id: UUID, *, by: Member) -> CrossPromoChain:
    """Stop an active chain; coupons already issued stay valid. Raises ChainRefused or ChainNotReady."""
    chain, _version, side = _locked(chain_id, "pause", by)
    chain.status, chain.paused_side = Status.PAUSED, side
    return _save(chain, "status", "paused_side")


@atomic
def resume(chain_id: UUID, *, by: Member, at: datetime) -> CrossPromoChain:
    """Let the side that paused the chain run it again, for purchases from `at` on.

    The terms are those agreed, so nobody is asked again. Raises ChainRefused or ChainNotReady.
    """
    chain, _version, _side = _locked(chain_id, "resume", by)
    chain.status, chain.paused_side, chain.resumed_at = Status.ACTIVE, "", at
    return _save(chain, "status", "paused_side", "resumed_at")


@atomic
def end(chain_id: UUID, *, by: Member) -> CrossPromoChain:
    """Stop a chain for good; coupons already issued stay valid. Raises ChainRefused or ChainNotReady."""
    chain, _version, _side = _locked(chain_id, "end", by)
    chain.status = Status.ENDED
    return _save(chain, "status")
