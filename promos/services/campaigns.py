"""Coupons for an audience: counted beforehand, issued in the background, once for each member.

Five hundred members make one transaction: their coupons, messages and webhook events, and how far
the issue has come are committed together. So an issue that was cut off goes on where it stopped,
and of two at work each takes the next five hundred in turn.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.locks import lock_members
from loyalty.models import Notification
from loyalty.rules import end_of_day
from loyalty.services.consents import ADVERTISABLE, may_advertise
from loyalty.services.messages import Message, queue_within
from loyalty.services.webhooks.outbox import publish
from promos.coupon_messages import GIVEN as MESSAGE
from promos.coupon_wording import benefit_payload
from promos.errors import CampaignRefused
from promos.models import Coupon, CouponCampaign
from promos.rules import new_code
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write
from svoykrug.failpoints import failpoint

from .announcements import coupon_events
from .audience import audience
from .triggers import COUPONS, coupon_rows

# Their purchases wait for so long as a part takes, some tenths of a second.
MEMBERS_AT_ONCE = 500
# A new code may be one that exists: once in some thirty thousand million codes for each that does.
TRIES = 4
CHANNEL = Notification.Channel.INAPP
Status = CouponCampaign.Status

# The whole condition is ours; its values are the campaign's.
NEXT = "SELECT u.id FROM users u WHERE u.id > %s AND {audience} ORDER BY u.id LIMIT %s"
AGREES = ADVERTISABLE.format(member="u.id", channel=f"'{CHANNEL}'", partner="%s")
COUNT = f"SELECT count(*), count(*) FILTER (WHERE {AGREES}) FROM users u WHERE {{audience}}"  # noqa: S608
GIVEN = {
    "id": "uuid",
    "created_at": "timestamptz",
    "campaign_id": "uuid",
    "user_id": "uuid",
    "coupon_id": "uuid",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What an issue would come to now: members of the audience, and those of them who consent.

    Each who consents gets one coupon.
    """

    matched: int
    consenting: int

    @property
    def refused(self) -> int:
        return self.matched - self.consenting


def preview(campaign: CouponCampaign, *, at: datetime) -> Preview:
    """Count whom the campaign would reach now. One query, however many members."""
    condition, values = audience(campaign, at=at)
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(audience=condition), [campaign.business_id, *values])
        return Preview(*cursor.fetchone())


@atomic
def start(campaign_id: UUID, *, at: datetime) -> CouponCampaign:
    """Freeze a draft and let its coupons be issued.

    Raises CampaignRefused if it has begun before, its business has left, or nobody would get one.
    """
    campaign = _lock(campaign_id)
    if campaign.status != Status.DRAFT:
        raise CampaignRefused(_("The coupons of this campaign are issued already."))
    if not campaign.business.is_active:
        raise CampaignRefused(_("The business does not take part any more."))
    reach = preview(campaign, at=at)
    if not reach.consenting:
        raise CampaignRefused(_("Nobody would get a coupon: nobody of this audience agrees to advertising."))
    campaign.status, campaign.started_at, campaign.expected = Status.ISSUING, at, reach.matched
    campaign.save(update_fields=["status", "started_at", "expected", "updated_at"])
    return campaign


@atomic
def stop(campaign_id: UUID, *, at: datetime) -> CouponCampaign:
    """End an issue early; coupons already given stay. Raises CampaignRefused if it is not at work."""
    campaign = _lock(campaign_id)
    if campaign.status != Status.ISSUING:
        raise CampaignRefused(_("No coupons of this campaign are being issued."))
    campaign.status, campaign.finished_at = Status.STOPPED, at
    campaign.save(update_fields=["status", "finished_at", "updated_at"])
    return campaign


def _lock(campaign_id: UUID) -> CouponCampaign:
    """Hold the campaign: the first lock of all, before its members'."""
    rows = CouponCampaign.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("business").get(pk=campaign_id)


def issue(campaign_id: UUID, *, at: datetime) -> int:
    """Issue the coupons that a started campaign still owes. Returns how many this call gave.

    at  when this call began: whether members bought within days is counted from the campaign's
        own beginning, so that a second run reaches the same people
    """
    given = 0
    while (count := _issue_more(campaign_id, at=at)) is not None:
        given += count
        failpoint("campaign-after-commit")
    return given


def _issue_more(campaign_id: UUID, *, at: datetime) -> int | None:
    """Issue the coupons of the next members. Returns how many, or None if the campaign is through."""
    for attempt in range(1, TRIES + 1):
        try:
            with atomic():
                return _issue_next(campaign_id, at=at)
        except IntegrityError as error:
            if "idx_coupons_code" not in str(error) or attempt == TRIES:
                raise
    raise AssertionError


def _issue_next(campaign_id: UUID, *, at: datetime) -> int | None:
    campaign = _lock(campaign_id)
    if campaign.status != Status.ISSUING:
        return None
    found = _next_members(campaign)
    if not found:
        campaign.status, campaign.finished_at = Status.ISSUED, at
        campaign.save(update_fields=["status", "finished_at", "updated_at"])
        return None
    # Once they are locked nobody leaves or withdraws a consent until the coupons are there.
    present = lock_members(found)
    consenting = sorted(may_advertise(present, channel=CHANNEL, partner_id=campaign.business_id))
    _give(campaign, consenting, at=at)
    campaign.cursor = found[-1]
    campaign.matched += len(present)
    campaign.refused += len(present) - len(consenting)
    campaign.issued += len(consenting)
    campaign.save(update_fields=["cursor", "matched", "refused", "issued", "updated_at"])
    failpoint("campaign-before-commit")
    return len(consenting)


def _next_members(campaign: CouponCampaign) -> list[UUID]:
    assert campaign.started_at is not None
    condition, values = audience(campaign, at=campaign.started_at)
    with connection.cursor() as cursor:
        after = campaign.cursor or UUID(int=0)
        cursor.execute(NEXT.format(audience=condition), [after, *values, MEMBERS_AT_ONCE])
        return [member_id for (member_id,) in cursor.fetchall()]


def _give(campaign: CouponCampaign, member_ids: Collection[UUID], *, at: datetime) -> None:
    """Write the coupons with their messages; that none gets two is the database's rule."""
    last_day = timezone.localdate(at) + timedelta(days=campaign.valid_days)
    valid_until = end_of_day(last_day, timezone.get_default_timezone())
    coupons = [
        Coupon(
            created_at=at + timedelta(microseconds=number), code=new_code(), member_id=member_id,
            business=campaign.business, benefit=campaign.benefit, benefit_value=campaign.benefit_value,
            benefit_text=campaign.benefit_text, min_amount=campaign.min_amount, valid_from=at,
            valid_until=valid_until,
        )
        # A microsecond apart: lists go by index from the newest on, and would sort thousands of one moment.
        for number, member_id in enumerate(member_ids, start=campaign.matched)
    ]  # fmt: skip
    given = [
        {
            "id": uuid7(), "created_at": at, "campaign_id": campaign.pk, "user_id": coupon.member_id,
            "coupon_id": coupon.pk,
        }
        for coupon in coupons
    ]  # fmt: skip
    payload = benefit_payload(campaign) | {
        "business": campaign.business.name,
        "valid_until": valid_until.isoformat(),
    }
    messages = [
        Message(
            member_id=coupon.member_id,
            template=MESSAGE,
            payload=payload | {"coupon": str(coupon.pk)},
            purpose=Notification.Purpose.ADVERTISING,
            partner_id=campaign.business_id,
            dedupe_key=f"campaign:{campaign.pk}:{coupon.member_id}",
            channel=CHANNEL,
            send_after=at,
        )
        for coupon in coupons
    ]
    write = Write()
    write.insert("coupons", COUPONS, coupon_rows(coupons, recorded_at=at))
    write.insert("campaign_coupons", GIVEN, given)
    queue_within(write, messages)
    if campaign.business.has_webhooks:
        publish(write, coupon_events(coupons), at=at)
    write.execute()
