"""Invitations as members see them: a code, a link, and what they brought (rules.md, Referral)."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from loyalty.models import BonusLot, Member, Referral
from svoykrug.money import ZERO

FRIENDS_SHOWN = 20
# A code typed by hand may be parted by spaces, hyphens, and what a messenger adds.
PARTING = re.compile(r"[\W_]+")

# What became of an invitation that a guard refused is the support's to know, not the inviter's.
SHOWN = ~Q(status=Referral.Status.REFUSED, settled_at=None)
# A reward that was taken back has used its place in the month.
GIVEN = Q(status__in=[Referral.Status.REWARDED, Referral.Status.VOIDED])


@dataclass(frozen=True, slots=True)
class Invitations:
    """What a member's code has brought.

    invited          neighbours who joined by it
    rewarded         of these, whose purchase gave bonuses that stand
    pending_bonuses  for invitations, not yet to be spent
    left_this_month  how many more may be rewarded in this calendar month, programme time
    """

    code: str
    invited: int
    rewarded: int
    pending_bonuses: Decimal
    left_this_month: int


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """What an invitation gives: bonuses, for the newcomer's first purchase of so many roubles."""

    newcomer_bonus: Decimal
    inviter_bonus: Decimal
    min_purchase_rub: Decimal
    pending_days: int
    monthly_limit: int


@dataclass(frozen=True, slots=True)
class Friend:
    """A neighbour who joined. `state`: joined, pending, rewarded, voided or over_limit."""

    name: str
    joined_at: datetime
    state: str
    available_from: datetime | None


def normalise_code(text: str) -> str:
    """Return a code as it is kept, from how people type it: any case, spaces and hyphens between."""
    return PARTING.sub("", text).upper()


def find_inviter(code: str) -> Member | None:
    """Return whose invitation this is; None for one that counts for nothing now."""
    inviters = Member.objects.filter(
        referral_code=normalise_code(code), is_active=True, anonymised_at=None
    ).exclude(referral_codes__is_active=False)
    return inviters.first()


def invitations(member: Member, *, at: datetime) -> Invitations:
    """Add up what the member's invitations have brought by now."""
    first = timezone.localtime(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    sums = Referral.objects.filter(SHOWN, inviter=member).aggregate(
        invited=Count("id"),
        rewarded=Count("id", filter=Q(status=Referral.Status.REWARDED)),
        this_month=Count("id", filter=GIVEN & Q(settled_at__gte=first)),
    )
    lots = BonusLot.objects.pending(at).filter(member=member, kind=BonusLot.Kind.REFERRAL)
    return Invitations(
        code=member.referral_code,
        invited=sums["invited"],
        rewarded=sums["rewarded"],
        pending_bonuses=lots.aggregate(sum=Sum("remaining"))["sum"] or ZERO,
        left_this_month=max(settings.REFERRAL_MONTHLY_LIMIT - sums["this_month"], 0),
    )


def reward_terms() -> RewardTerms:
    return RewardTerms(
        newcomer_bonus=settings.REFERRAL_NEWCOMER_BONUS,
        inviter_bonus=settings.REFERRAL_INVITER_BONUS,
        min_purchase_rub=settings.REFERRAL_MIN_PURCHASE_RUB,
        pending_days=settings.REFERRAL_PENDING_DAYS,
        monthly_limit=settings.REFERRAL_MONTHLY_LIMIT,
    )


def friends(inviter_id: UUID, *, at: datetime) -> list[Friend]:
    """Return the neighbours who joined by the member's code, newest first."""
    joined = Referral.objects.filter(SHOWN, inviter_id=inviter_id).order_by("-created_at", "-id")
    rows = joined.values_list("newcomer__first_name", "created_at", "status", "settled_at")
    return [_friend(*row, at=at) for row in rows[:FRIENDS_SHOWN]]


def _friend(
    name: str, joined_at: datetime, status: str, settled_at: datetime | None, *, at: datetime
) -> Friend:
    available_from = None
    if status == Referral.Status.REFUSED:
        status = "over_limit"
    elif status == Referral.Status.REWARDED and settled_at:
        available_from = settled_at + timedelta(days=settings.REFERRAL_PENDING_DAYS)
        status = "pending" if at < available_from else status
    return Friend(name, joined_at, status, available_from)
