"""Reads that join or add up, for pages, endpoints and exports."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.errors import MemberNotFound
from loyalty.models import Business, Member, StatusTier, TierChange, Transaction
from svoykrug.db.rows import columns, instances
from svoykrug.db.sql import read
from svoykrug.money import ZERO

EXPIRING_SOON_DAYS = 30
# Of the 1st; the schedule of `review_tiers` says the same.
TIER_REVIEW_TIME = time(0, 30)


@dataclass(frozen=True, slots=True)
class Wallet:
    """A member's bonuses at a moment.

    available    may be spent now, what a quote set aside not among it
    held         set aside by quotes for purchases under way
    pending      will become available, the first on `next_available_on`
    expiring     of the available, lapses within 30 days, the first on `expiring_on`
    debt         new accruals repay it first
    """

    available: Decimal
    held: Decimal
    pending: Decimal
    debt: Decimal
    expiring: Decimal
    expiring_on: datetime | None
    next_available_on: datetime | None


@dataclass(frozen=True, slots=True)
class TierProgress:
    """Where a member stands between tiers.

    tiers         all of them, lowest first
    turnover_rub  qualifying turnover of the last 12 months
    missing_rub   to the next tier; zero at the top
    share         of the way from this tier's threshold to the next, 0 to 1
    review_at     when this tier is reviewed; None for the lowest one, which never expires
    kept_rub      of the turnover, what will still count at the review
    to_keep_rub   to be bought by the review, so that this tier stays
    """

    tier: StatusTier
    next_tier: StatusTier | None
    tiers: list[StatusTier]
    turnover_rub: Decimal
    missing_rub: Decimal
    share: Decimal
    review_at: datetime | None
    kept_rub: Decimal
    to_keep_rub: Decimal


@dataclass(frozen=True, slots=True)
class TierStep:
    """A member's move from one tier to another, with the turnover that was measured."""

    at: datetime
    before: StatusTier
    after: StatusTier
    reason: str
    turnover_rub: Decimal

    @property
    def is_rise(self) -> bool:
        return self.after.level > self.before.level


_WALLET = """
    SELECT lots.live, holds.held, lots.pending, coalesce(b.debt, 0.00), lots.expiring, lots.expiring_on,
        lots.next_available_on
    FROM (SELECT %s::uuid, %s::timestamptz, %s::timestamptz) AS asked(member_id, at, soon)
    LEFT JOIN bonuses b ON b.user_id = asked.member_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount), 0.00) FROM bonus_holds h
        WHERE h.user_id = asked.member_id AND h.released_at IS NULL AND h.expires_at > asked.at
    ) AS holds(held)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(remaining) FILTER (WHERE available_from <= at), 0.00),
            coalesce(sum(remaining) FILTER (WHERE available_from > at), 0.00),
            coalesce(sum(remaining) FILTER (WHERE available_from <= at AND expires_at <= soon), 0.00),
            min(expires_at) FILTER (WHERE available_from <= at AND expires_at <= soon),
            min(available_from) FILTER (WHERE available_from > at)
        FROM bonus_lots l
        WHERE l.user_id = asked.member_id AND l.remaining > 0
            AND (l.available_from > asked.at OR l.expires_at > asked.at)
    ) AS lots(live, pending, expiring, expiring_on, next_available_on)
"""


def wallet(member_id: UUID, *, at: datetime) -> Wallet:
    """Add up the member's lots: true at any moment, whether or not the nightly expiry has run."""
    soon = at + timedelta(days=EXPIRING_SOON_DAYS)
    row = read((_WALLET, [member_id, at, soon]))[0][0]
    live, held, *rest = row
    return Wallet(max(live - held, ZERO), held, *rest)


def qualifying_turnover(member_id: UUID, *, at: datetime, since: datetime) -> tuple[Decimal, Decimal]:
    """Return roubles paid in the last 12 months, net of refunds, and of these what was paid after `since`.

    Neither is below zero. Rule: Tiers.
    """
    year = at - timedelta(days=settings.TURNOVER_WINDOW_DAYS)
    paid = Transaction.objects.filter(member_id=member_id, created_at__gt=year, created_at__lte=at)
    sums = paid.aggregate(year=Sum("amount_paid"), late=Sum("amount_paid", filter=Q(created_at__gt=since)))
    return max(sums["year"] or ZERO, ZERO), max(sums["late"] or ZERO, ZERO)


def tier_progress(member: Member, *, at: datetime) -> TierProgress:
    """Return the member's tier, the next one, and what is missing to rise and to stay."""
    tiers = list(StatusTier.objects.order_by("level"))
    tier = next(tier for tier in tiers if tier.pk == member.status_tier_id)
    following = next((other for other in tiers if other.level == tier.level + 1), None)
    review_at = next_review(member.tier_valid_until, at=at) if tier.level > 1 else None
    since = (review_at or at) - timedelta(days=settings.TURNOVER_WINDOW_DAYS)
    turnover, kept = qualifying_turnover(member.pk, at=at, since=since)
    missing, share = ZERO, Decimal(1)
    if following is not None:
        missing = max(following.threshold_rub - turnover, ZERO)
        span = following.threshold_rub - tier.threshold_rub
        share = min(max((turnover - tier.threshold_rub) / span, Decimal(0)), Decimal(1))
    return TierProgress(
        tier=tier,
        next_tier=following,
        tiers=tiers,
        turnover_rub=turnover,
        missing_rub=missing,
        share=share,
        review_at=review_at,
        kept_rub=kept,
        to_keep_rub=max(tier.threshold_rub - kept, ZERO) if review_at else ZERO,
    )


def next_review(holds_until: datetime | None, *, at: datetime) -> datetime | None:
    """Return the first monthly review, on the 1st at 00:30 programme time, that finds the tier run out.

    None where a tier holds without end.
    """
    if holds_until is None:
        return None
    after = timezone.localtime(max(holds_until, at))
    review = timezone.make_aware(datetime.combine(after.date().replace(day=1), TIER_REVIEW_TIME))
    if review < after:
        first = after.date().replace(day=1) + relativedelta(months=1)
        review = timezone.make_aware(datetime.combine(first, TIER_REVIEW_TIME))
    return review


def tier_history(member_id: UUID, tiers: Iterable[StatusTier]) -> list[TierStep]:
    """Return every change of the member's tier, newest first; `tiers` are all of the programme's."""
    by_level = {tier.level: tier for tier in tiers}
    changes = TierChange.objects.filter(member_id=member_id).order_by("-created_at", "-id")
    return [
        TierStep(
            at=change.created_at,
            before=by_level[change.from_level],
            after=by_level[change.to_level],
            reason=change.reason,
            turnover_rub=change.turnover_rub,
        )
        for change in changes
    ]


def members_by_card(cards: Collection[str]) -> dict[str, UUID]:
    """Return member ids by card number, for the cards that are known."""
    found = Member.objects.filter(card_number__in=list(cards)).values_list("card_number", "pk")
    return {card: pk for card, pk in found if card is not None}


def members_of(business: Business) -> QuerySet[Member]:
    """Return whom the keys of a business may meet: the circle, or a sandbox's own members."""
    if business.is_sandbox:
        return Member.with_sandboxes.filter(sandbox_members__sandbox=business)
    return Member.objects.all()


_ACTIVE = "m.is_active AND m.anonymised_at IS NULL"
_OF_CIRCLE = f"{_ACTIVE} AND NOT m.is_sandbox"
_OF_SANDBOX = (
    f"{_ACTIVE} AND EXISTS (SELECT FROM sandbox_members s WHERE s.user_id = m.id AND s.sandbox_id = %s)"
)
_ID = "SELECT m.id FROM users m"
_CONTACTS = "SELECT m.phone, m.card_number, m.id FROM users m"
_WITH_TIER = f"""
    SELECT {columns(Member, "m")}, {columns(StatusTier, "tier")}
    FROM users m JOIN status_tiers tier ON tier.id = m.status_tier
"""  # noqa: S608  columns of our own models


def active_members(*, phones: Collection[str], cards: Collection[str], business: Business) -> dict[str, UUID]:
    """Return ids of members as `phone:+7…` (E.164) and `card:…`, in one query.

    business  who asks; see `members_of`
    """
    which, values = _active(business)
    sql = f"{_CONTACTS} WHERE (m.phone = ANY(%s) OR m.card_number = ANY(%s)) AND {which}"
    rows = read((sql, [list(phones), list(cards), *values]))[0]
    wanted_cards = set(cards)
    by = {f"phone:{phone}": pk for phone, _, pk in rows if phone}
    return by | {f"card:{card}": pk for _, card, pk in rows if card in wanted_cards}


def find_member_id(*, phone: str | None = None, card: str | None = None, business: Business) -> UUID:
    """Return the id of the member of that phone (E.164) or card number.

    business  who asks; see `members_of`

    Raises MemberNotFound; members who left the programme are not found.
    """
    member_id: UUID = _member(_ID, {"phone": phone} if phone else {"card_number": card}, business)[0]
    return member_id


def find_member(
    *,
    phone: str | None = None,
    card: str | None = None,
    member_id: UUID | None = None,
    business: Business | None = None,
) -> Member:
    """Return the member of that phone (E.164), card number or id, with the tier.

    business  who asks, if it is one; see `members_of`

    Raises MemberNotFound; members who left the programme are not found.
    """
    by: dict[str, Any] = (
        {"id": member_id} if member_id else {"phone": phone} if phone else {"card_number": card}
    )
    member, member.status_tier = instances(_member(_WITH_TIER, by, business), Member, StatusTier)
    return member  # type: ignore[no-any-return]


def _member(select: str, by: dict[str, Any], business: Business | None) -> tuple[Any, ...]:
    """Every call of a till asks it, so its text is written by hand."""
    ((column, value),) = by.items()
    which, values = _active(business)
    found = read((f"{select} WHERE m.{column} = %s AND {which}", [value, *values]))[0]
    if not found:
        raise _no_such_member()
    return found[0]


def _active(business: Business | None) -> tuple[str, list[Any]]:
    """Return the condition that a member takes part and may be met by the one who asks, and its values."""
    if business and business.is_sandbox:
        return _OF_SANDBOX, [business.pk]
    return _OF_CIRCLE, []


def _no_such_member() -> MemberNotFound:
    return MemberNotFound(_("No member has this phone or card number."), field="member")
