"""Members by name and contact, as far as the reader may know them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext

from loyalty.models import Member
from loyalty.phones import readable_phone
from loyalty.services.consents import may_see_person


@dataclass(frozen=True)
class Person:
    """`member_id` only where the reader may open the person's page."""

    name: str
    contact: str
    member_id: UUID | None


def people(member_ids: Collection[UUID], *, partners: Collection[UUID] | None) -> Mapping[UUID, Person]:
    """Return each member as a reader sees them, in one query and one about consents.

    partners  who reads: they see a member as each agreed to be known to them; None: the programme
    """
    members = Member.objects.in_bulk(member_ids)
    known = members.keys() if partners is None else may_see_person(members.keys(), *partners)
    return {
        member_id: person(
            members.get(member_id), in_full=member_id in known, with_page=partners is None
        )
        for member_id in member_ids
    }  # fmt: skip


def person(member: Member | None, *, in_full: bool, with_page: bool) -> Person:
    if member is None or member.anonymised_at:
        # What is counted is of last night; the person may have left since.
        name, contact = gettext("Has left the circle"), ""
    else:
        name = member.get_full_name() if in_full else member.first_name
        name, contact = name or gettext("Without a name"), contact_of(member, in_full=in_full)
    return Person(name, contact, member.pk if with_page and member else None)


def contact_of(member: Member, *, in_full: bool) -> str:
    """Return the phone or, where there is none yet, the card; masked unless in full."""
    if member.phone:
        return readable_phone(member.phone) if in_full else member.masked_phone
    card = member.card_number or ""
    return card if in_full or len(card) <= 4 else f"•••• {card[-4:]}"
