"""Consents: what a member decides, and the one gate that every send, export and list asks.

Rule: specification, rules.md, "Consent and messages". The decision recorded last decides; about
advertising, one about a partner stands above the one about the whole circle.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.consent_texts import consent_text
from loyalty.errors import ConsentNotWithdrawn
from loyalty.locks import lock_members
from loyalty.models import Consent, Notification
from svoykrug.db.sql import read

# Whether a member consents to advertising now: an expression for a query over many members.
# `.format(member=…, channel=…, partner=…)` takes SQL of the query around it, never a value: columns
# or placeholders, e.g. member="m.user_id", channel="'inapp'", partner="c.target_business_id". With
# a partner of NULL the decision about the whole circle counts.
# A purchase that reads it in the message that locks the member, after that lock, sees every
# withdrawal answered before, and a later one waits for the purchase.
ADVERTISABLE = """COALESCE((
    SELECT consent.granted FROM consents consent
    WHERE consent.user_id = {member} AND consent.purpose = 'advertising' AND consent.channel = {channel}
        AND (consent.partner_id IS NULL OR consent.partner_id = {partner})
    ORDER BY consent.partner_id IS NULL, consent.id DESC LIMIT 1
), false)"""
_MEMBERS_WHO_AGREED = f"""
    SELECT m.id FROM unnest(%s::uuid[]) AS m(id)
    WHERE {ADVERTISABLE.format(member="m.id", channel="%s", partner="%s::uuid")}
"""  # noqa: S608  our own text
_MEMBERS_HANDED_OVER = """
    SELECT user_id FROM (
        SELECT DISTINCT ON (user_id, partner_id) user_id, granted FROM consents
        WHERE user_id = ANY(%s::uuid[]) AND purpose = 'handover' AND partner_id = ANY(%s::uuid[])
        ORDER BY user_id, partner_id, id DESC
    ) latest WHERE granted
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a consent is about; fields as in `Consent`."""

    purpose: str
    channel: str = ""
    partner_id: UUID | None = None

    @property
    def of_everybody(self) -> "Subject":
        """The same without a partner."""
        return Subject(self.purpose, self.channel)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a member decides at once; of what is not named nothing changes."""

    granted: frozenset[Subject] = frozenset()
    withdrawn: frozenset[Subject] = frozenset()


PROCESSING = Subject(Consent.Purpose.PROCESSING)
CHANNELS: tuple[str, ...] = tuple(Notification.Channel.values)


def advertising(channel: str, partner_id: UUID | None = None) -> Subject:
    return Subject(Consent.Purpose.ADVERTISING, channel, partner_id)


def handover(partner_id: UUID) -> Subject:
    return Subject(Consent.Purpose.HANDOVER, partner_id=partner_id)


def may_advertise(member_ids: Collection[UUID], *, channel: str, partner_id: UUID | None) -> set[UUID]:
    """Return those of the members who consent now to this partner's advertising on that channel.

    partner_id  null: advertising of the programme itself
    """
    [rows] = read((_MEMBERS_WHO_AGREED, [list(member_ids), channel, partner_id]))
    return {member_id for (member_id,) in rows}


def may_see_person(member_ids: Collection[UUID], *partner_ids: UUID) -> set[UUID]:
    """Return those of the members whose last name and full phone one of the partners may see now."""
    [rows] = read((_MEMBERS_HANDED_OVER, [list(member_ids), list(partner_ids)]))
    return {member_id for (member_id,) in rows}


def decisions(member_id: UUID) -> dict[Subject, Consent]:
    """Return the member's latest decision on everything ever decided."""
    latest = (
        Consent.objects.filter(member_id=member_id)
        .order_by("purpose", "channel", "partner_id", "-id")
        .distinct("purpose", "channel", "partner_id")
    )
    return {Subject(row.purpose, row.channel, row.partner_id): row for row in latest}


def allows(said: Mapping[Subject, bool], subject: Subject) -> bool:
    """Return what holds for a subject: of a partner nobody spoke of, what holds for the circle."""
    of_circle = said.get(subject.of_everybody, False) if subject.partner_id else False
    return said.get(subject, of_circle)


@atomic
def decide(choice: Choice, *, member_id: UUID, language: str, ip: str | None, at: datetime) -> int:
    """Record what the member decides; returns how many decisions were new.

    What is so already is not recorded again. Whoever withdraws a channel for the whole circle
    withdraws it for every partner allowed apart: a no means no.

    language  of the texts that the member could read
    ip        null where no page was open, such as at the counter

    Raises ConsentNotWithdrawn for processing: withdrawing that is leaving the programme.
    Locks the member: without it a partner allowed at the same moment would outlive that no.
    """
    if PROCESSING in choice.withdrawn:
        raise ConsentNotWithdrawn(
            _("Without consent to processing there is nobody to give bonuses to: it ends with membership."),
            field="processing",
        )
    lock_members([member_id])
    now = {subject: row.granted for subject, row in decisions(member_id).items()}
    wanted = dict.fromkeys(choice.granted, True) | dict.fromkeys(choice.withdrawn, False)
    refused = {subject for subject in choice.withdrawn if now.get(subject)}
    wanted = {subject: False for subject in now if subject.of_everybody in refused} | wanted
    # Compared with what will hold for the circle, so that a partner's own yes or no is not lost in it.
    after = now | {subject: yes for subject, yes in wanted.items() if subject.partner_id is None}
    new = [
        _row(member_id, subject, granted=yes, language=language, ip=ip, at=at)
        for subject, yes in wanted.items()
        if allows(now if subject.partner_id is None else after, subject) != yes
    ]
    Consent.objects.bulk_create(new)
    return len(new)


def stop_advertising(*, member_id: UUID, language: str, ip: str | None, at: datetime) -> int:
    """Withdraw advertising on every channel, for the circle and for each partner."""
    advertised = {s for s in decisions(member_id) if s.purpose == Consent.Purpose.ADVERTISING}
    choice = Choice(withdrawn=frozenset(advertised))
    return decide(choice, member_id=member_id, language=language, ip=ip, at=at)


def _row(
    member_id: UUID, subject: Subject, *, granted: bool, language: str, ip: str | None, at: datetime
) -> Consent:
    text = consent_text(subject.purpose, language)
    return Consent(
        member_id=member_id,
        purpose=subject.purpose,
        channel=subject.channel,
        partner_id=subject.partner_id,
        granted=granted,
        text_version=text.version,
        text_hash=text.digest,
        language=text.language,
        ip=ip,
        created_at=at,
    )
