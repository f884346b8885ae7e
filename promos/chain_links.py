"""Chains that continue one another: A→B→C. Which chain may go on from which, with no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Link:
    """A chain as a step between two businesses."""

    source_id: UUID
    target_id: UUID
    agreed: bool = True


def link_faults(new: Link, before: Sequence[Link]) -> dict[str, str]:
    """Return what is wrong by field of a chain that goes on from `before`, the nearest of them first.

    A walk through continuations never comes back to a business: A→B→A would send a member round
    in circles at the expense of both.
    """
    if new.source_id == new.target_id:
        return {"target_business": _("A chain leads to another business.")}
    if not before:
        return {}
    nearest = before[0]
    if not nearest.agreed:
        return {"continues": _("Both sides must have agreed to that chain first.")}
    if nearest.target_id != new.source_id:
        return {"continues": _("That chain does not lead to the source of this one.")}
    if new.target_id in {link.source_id for link in before}:
        return {"continues": _("The chains would lead in a circle, back to the target.")}
    return {}
