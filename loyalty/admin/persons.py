"""Whom partners may know: by first name and masked phone, until the member says otherwise."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from loyalty.models import Member
from loyalty.phones import readable_phone
from loyalty.services.consents import may_see_person
from loyalty.staff import staff_scope


class PersonsAdmin:
    """Shows the members of a page as each agreed to be known to the reader's businesses; one query."""

    def person(self, row: Any) -> Member:
        """Return the member that a row is about."""
        return row.member

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)  # type: ignore[misc]
        introduce(request, [self.person(row) for row in page.result_list])
        return page

    def get_object(self, request: HttpRequest, *args: Any) -> Any:
        if (row := super().get_object(request, *args)) is not None:  # type: ignore[misc]
            introduce(request, [self.person(row)])
        return row


def introduce(request: HttpRequest, members: Iterable[Member]) -> None:
    """Mark those whose last name and phone were handed over to one of the reader's businesses."""
    if not (own := staff_scope(request.user).business_ids):
        return
    members = list(members)
    known = may_see_person({member.pk for member in members}, *own)
    for member in members:
        member.is_known_to_reader = member.pk in known


def name(member: Member) -> str:
    return (member.get_full_name() if member.is_known_to_reader else "") or member.first_name


def phone(member: Member) -> str:
    return readable_phone(member.phone) if member.is_known_to_reader and member.phone else member.masked_phone
