"""Consents: what a member decides, and the one gate that every send, export and list asks.

Rule: specification, rules.md, "Consent and messages". The decision recorded last decides; about
advertising, one about a partner stands above the one about the whole circle.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from loyalty.consent_texts import consent_text
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
        SELECT DISTINCT ON (user_id) user_id, granted FROM consents
        WHERE user_id = ANY(%s::uuid[]) AND purpose = 'handover' AND partner_id = %s
        ORDER BY user_id, id DESC
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


PROCESSING = Subject(Consent.Purpose.PROCESSING)
CHANNELS = tuple(Notification.Channel.values)


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


def may_see_person(member_ids: Collection[UUID], partner_id: UUID) -> set[UUID]:
    """Return those of the members whose last name and full phone the partner may see now."""
    [rows] = read((_MEMBERS_HANDED_OVER, [list(member_ids), partner_id]))
    return {member_id for (member_id,) in rows}


def decisions(member_id: UUID) -> dict[Subject, Consent]:
    """Return the member's latest decision on everything ever decided."""
    latest = (
        Consent.objects.filter(member_id=member_id)
        .order_by("purpose", "channel", "partner_id", "-id")
        .distinct("purpose", "channel", "partner_id")
    )
    return {Subject(row.purpose, row.channel, row.partner_id): row for row in latest}


@atomic
def decide(
    *,
    member_id: UUID,
    granted: Iterable[Subject] = (),
    withdrawn: Iterable[Subject] = (),
    language: str,
    ip: str | None,
    at: datetime,
) -> int:
    """Record what the member decides; returns how many decisions were new.

    What is so already is not recorded again. Whoever withdraws a channel for the whole circle
    withdraws it for every partner allowed apart: a no means no.

    ip  null where no page was open, such as at the counter

    Locks the member: without it a partner allowed at the same moment would outlive that no.
    """
    lock_members([member_id])
    now = {subject: row.granted for subject, row in decisions(member_id).items()}
    wanted = dict.fromkeys(granted, True) | dict.fromkeys(withdrawn, False)
    refused = {subject for subject, yes in wanted.items() if not yes and now.get(subject)}
    wanted = {subject: False for subject in now if subject.of_everybody in refused} | wanted
    after = now | wanted
    new = [
        _row(member_id, subject, granted=yes, language=language, ip=ip, at=at)
        for subject, yes in wanted.items()
        # About a partner nobody spoke of, what holds for the circle holds already.
        if now.get(subject, after.get(subject.of_everybody, False) if subject.partner_id else False) != yes
    ]
    Consent.objects.bulk_create(new)
    return len(new)


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
