"""What the staff's page of a chain tells above its form: terms, counts, budget, versions."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext

from loyalty.models import Member
from loyalty.templatetags.money import rub
from promos.chain_terms import terms_of, thawed
from promos.chain_wording import chain_words, difference_words
from promos.models import ChainAssignment, ChainVersion, CrossPromoChain
from svoykrug.history import moment

Arm, Reason = ChainAssignment.Arm, ChainAssignment.Reason


@dataclass(frozen=True, slots=True)
class ToldVersion:
    """A version and its answer. changes  what differs from the agreed version before it."""

    number: int
    proposed: str
    proposed_by: str
    decision: str
    answered: str
    answered_by: str
    reason: str
    changes: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of a bound is used; percent from 0 to 100."""

    text: str
    percent: int


def chain_page(chain: CrossPromoChain) -> dict[str, Any]:
    """Return the context of the page, in a fixed number of queries."""
    versions = list(chain.versions.select_related("proposed_by", "decided_by").order_by("version"))
    waiting = next((version for version in versions if not version.decision), None)
    words = {"source": chain.source_business.name, "target": chain.target_business.name}
    arms = {(arm, reason): count for arm, reason, count in _arms(chain)}
    by_arm = {arm: sum(count for (a, _), count in arms.items() if a == arm) for arm in Arm}
    return {
        "chain_words": chain_words(terms_of(chain), **words),
        "proposed_words": chain_words(thawed(waiting.terms), **words)
        if waiting and chain.status in (CrossPromoChain.Status.ACTIVE, CrossPromoChain.Status.PAUSED)
        else [],
        "chain_counts": {
            "triggers": sum(arms.values()),
            "coupons": chain.assignments.filter(coupon__isnull=False).count(),
            "waiting": chain.assignments.filter(due_at__isnull=False, arm=Arm.TREATMENT).count(),
            "control": by_arm[Arm.CONTROL],
            "skipped": by_arm[Arm.SKIPPED],
        },
        "chain_skipped": [
            (reason.label, arms[Arm.SKIPPED, reason]) for reason in Reason if (Arm.SKIPPED, reason) in arms
        ],
        "chain_meters": _meters(chain),
        "chain_versions": list(reversed(_told(versions))),
    }


def _arms(chain: CrossPromoChain) -> Any:
    return chain.assignments.order_by().values_list("arm", "reason").annotate(Count("pk"))


def _meters(chain: CrossPromoChain) -> list[Meter]:
    found = []
    if chain.budget_rub:
        words = {"used": rub(chain.spent_rub), "bound": rub(chain.budget_rub)}
        text = gettext("Discounts given: %(used)s of %(bound)s") % words
        found.append(Meter(text, _share(chain.spent_rub, chain.budget_rub)))
    if chain.total_limit:
        text = gettext("Coupons given: %(used)d of %(bound)d") % {
            "used": chain.issued_count, "bound": chain.total_limit,
        }  # fmt: skip
        found.append(Meter(text, _share(Decimal(chain.issued_count), Decimal(chain.total_limit))))
    return found


def _share(used: Decimal, bound: Decimal) -> int:
    return int(min(max(used / bound * 100, Decimal(0)), Decimal(100)).to_integral_value(ROUND_DOWN))


def _told(versions: list[ChainVersion]) -> list[ToldVersion]:
    told, agreed = [], None
    for version in versions:
        told.append(
            ToldVersion(
                number=version.version,
                proposed=moment(version.created_at),
                proposed_by=_name(version.proposed_by),
                decision=version.get_decision_display() if version.decision else "",
                answered=moment(version.decided_at) if version.decided_at else "",
                answered_by=_name(version.decided_by),
                reason=version.reason,
                changes=difference_words(agreed.terms, version.terms) if agreed else [],
            )
        )
        if version.decision == ChainVersion.Decision.ACCEPTED:
            agreed = version
    return told


def _name(member: Member | None) -> str:
    """The other side's people are known by first name."""
    return member.first_name if member else ""
