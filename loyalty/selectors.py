"""Reads that join or add up, for pages, endpoints and exports."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Min, Q, Sum

from loyalty.errors import MemberNotFound
from loyalty.models import Bonus, BonusEntry, BonusLot, Member, StatusTier, Transaction
from svoykrug.money import ZERO

EXPIRING_SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Wallet:
    """A member's bonuses at a moment.

    available    may be spent now
    pending      will become available, the first on `next_available_on`
    expiring     of the available, lapses within 30 days, the first on `expiring_on`
    debt         new accruals repay it first
    """

    available: Decimal
    pending: Decimal
    debt: Decimal
    expiring: Decimal
    expiring_on: datetime | None
    next_available_on: datetime | None


@dataclass(frozen=True, slots=True)
class TierProgress:
    """Where a member stands between tiers.

    turnover_rub  qualifying turnover of the last 12 months
    missing_rub   to the next tier; zero at the top
    share         of the way from this tier's threshold to the next, 0 to 1
    """

    tier: StatusTier
    next_tier: StatusTier | None
    turnover_rub: Decimal
    missing_rub: Decimal
    share: Decimal


def wallet(member_id: UUID, *, at: datetime) -> Wallet:
    """Add up the member's lots: true at any moment, whether or not the nightly expiry has run."""
    soon = at + timedelta(days=EXPIRING_SOON_DAYS)
    live = Q(available_from__lte=at, expires_at__gt=at)
    sums = BonusLot.objects.filter(member_id=member_id, remaining__gt=0).aggregate(
        available=Sum("remaining", filter=live),
        pending=Sum("remaining", filter=Q(available_from__gt=at)),
        expiring=Sum("remaining", filter=live & Q(expires_at__lte=soon)),
        expiring_on=Min("expires_at", filter=live & Q(expires_at__lte=soon)),
        next_available_on=Min("available_from", filter=Q(available_from__gt=at)),
    )
    debt = Bonus.objects.filter(member_id=member_id).values_list("debt", flat=True).first()
    return Wallet(
        available=sums["available"] or ZERO,
        pending=sums["pending"] or ZERO,
        debt=debt or ZERO,
        expiring=sums["expiring"] or ZERO,
        expiring_on=sums["expiring_on"],
        next_available_on=sums["next_available_on"],
    )


def qualifying_turnover(member_id: UUID, *, at: datetime) -> Decimal:
    """Return roubles paid in the last 12 months, net of refunds (rules.md, Tiers)."""
    since = at - timedelta(days=settings.TURNOVER_WINDOW_DAYS)
    paid = Transaction.objects.filter(member_id=member_id, created_at__gt=since, created_at__lte=at)
    return paid.aggregate(sum=Sum("amount_paid"))["sum"] or ZERO


def tier_progress(member: Member, *, at: datetime) -> TierProgress:
    """Return the member's tier, the next one and what is missing to it."""
    tiers = list(StatusTier.objects.order_by("level"))
    tier = next(tier for tier in tiers if tier.pk == member.status_tier_id)
    following = next((other for other in tiers if other.level == tier.level + 1), None)
    turnover = max(qualifying_turnover(member.pk, at=at), ZERO)
    if following is None:
        return TierProgress(tier, None, turnover, ZERO, Decimal(1))
    span = following.threshold_rub - tier.threshold_rub
    share = min(max((turnover - tier.threshold_rub) / span, Decimal(0)), Decimal(1))
    return TierProgress(tier, following, turnover, max(following.threshold_rub - turnover, ZERO), share)


def members_by_card(cards: Collection[str]) -> dict[str, UUID]:
    """Return member ids by card number, for the cards that are known."""
    found = Member.objects.filter(card_number__in=list(cards)).values_list("card_number", "pk")
    return {card: pk for card, pk in found if card is not None}


def active_members(*, phones: Collection[str], cards: Collection[str]) -> dict[str, UUID]:
    """Return ids of members as `phone:+7…` (E.164) and `card:…`, in one query."""
    by_phone, by_card = Q(phone__in=list(phones)), Q(card_number__in=list(cards))
    found = Member.objects.filter(by_phone | by_card, is_active=True, anonymised_at=None)
    rows = list(found.values_list("phone", "card_number", "pk"))
    wanted_cards = set(cards)
    by = {f"phone:{phone}": pk for phone, _, pk in rows if phone}
    return by | {f"card:{card}": pk for _, card, pk in rows if card in wanted_cards}


def find_member(
    *, phone: str | None = None, card: str | None = None, member_id: UUID | None = None
) -> Member:
    """Return the member of that phone (E.164), card number or id.

    Raises MemberNotFound; members who left the programme are not found.
    """
    by: dict[str, Any] = (
        {"pk": member_id} if member_id else {"phone": phone} if phone else {"card_number": card}
    )
    member = (
        Member.objects.select_related("status_tier").filter(is_active=True, anonymised_at=None, **by).first()
    )
    if member is None:
        raise MemberNotFound("No member has this phone or card number.", field="member")
    return member


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A purchase, a refund, or a change of bonuses that belongs to neither.

    kind         `purchase`, `refund`, or the kind of the ledger entry
    reason       of an entry: the kind of its lot (invitation, event, adjustment); else empty
    paid_rub     what the member paid, below zero on a refund; None for an entry
    purchase_id  the purchase that explains it
    """

    id: UUID
    at: datetime
    kind: str
    reason: str
    business: str
    paid_rub: Decimal | None
    bonus: Decimal
    purchase_id: UUID | None


@dataclass(frozen=True, slots=True)
class HistoryCursor:
    """The last item of a page; the next page begins after it."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> "HistoryCursor":
        """Raises ValueError for a text that no page has given out."""
        at, _, key = text.partition("-")
        return cls(datetime.strptime(at, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC), UUID(hex=key))


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first. `after` is the cursor of the next page, None on the last one."""

    items: list[HistoryItem]
    after: HistoryCursor | None


def history(member_id: UUID, *, after: HistoryCursor | None = None, limit: int = 20) -> HistoryPage:
    """Return purchases, refunds and the entries that belong to neither, as one list."""
    purchases = Transaction.objects.filter(member_id=member_id)
    entries = BonusEntry.objects.filter(member_id=member_id, transaction=None)
    if after is not None:
        # The first condition alone reads the index; the second only settles equal moments.
        older = Q(created_at__lte=after.at) & (Q(created_at__lt=after.at) | Q(pk__lt=after.id))
        purchases, entries = purchases.filter(older), entries.filter(older)
    newest = ("-created_at", "-pk")
    items = [
        HistoryItem(
            id=row.pk,
            at=row.created_at,
            kind=row.kind,
            reason="",
            business=row.business.name,
            paid_rub=row.amount_paid,
            bonus=row.bonus_accrued - row.bonus_redeemed,
            purchase_id=row.refund_of_id or row.pk,
        )
        for row in purchases.select_related("business").order_by(*newest)[: limit + 1]
    ]
    items += [
        HistoryItem(
            id=entry.pk,
            at=entry.created_at,
            kind=entry.kind,
            reason=entry.lot.kind,
            business=entry.lot.issuer.name,
            paid_rub=None,
            bonus=entry.amount,
            purchase_id=entry.lot.transaction_id,
        )
        for entry in entries.select_related("lot__issuer").order_by(*newest)[: limit + 1]
    ]
    items.sort(key=lambda item: (item.at, item.id), reverse=True)
    page = items[:limit]
    last = HistoryCursor(page[-1].at, page[-1].id) if len(items) > limit else None
    return HistoryPage(items=page, after=last)


@dataclass(frozen=True, slots=True)
class PurchaseDetails:
    """A purchase with what came of it.

    available_from, expires_at  of the bonuses it brought; None if it brought none
    refunds                     oldest first
    """

    purchase: Transaction
    refunds: list[Transaction]
    available_from: datetime | None
    expires_at: datetime | None


def purchase_details(member_id: UUID, purchase_id: UUID) -> PurchaseDetails | None:
    """Return the member's own purchase, or None: another's is as unknown as one that never was."""
    purchase = (
        Transaction.objects.select_related("business")
        .filter(member_id=member_id, pk=purchase_id, kind=Transaction.Kind.PURCHASE)
        .first()
    )
    if purchase is None:
        return None
    lot = BonusLot.objects.filter(transaction=purchase).order_by("pk").first()
    return PurchaseDetails(
        purchase=purchase,
        refunds=list(purchase.refunds.order_by("created_at", "pk")),
        available_from=lot.available_from if lot else None,
        expires_at=lot.expires_at if lot else None,
    )
