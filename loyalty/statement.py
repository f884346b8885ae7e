"""What happened to a member's bonuses, as the member reads it: the history, and one purchase."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q

from loyalty.models import BonusEntry, BonusLot, Transaction
from svoykrug.money import ZERO


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A purchase, a refund, or a change of bonuses that belongs to neither.

    kind         `purchase`, `refund`, or the kind of the ledger entry
    reason       of an entry: the kind of its lot (invitation, event, adjustment); else empty
    paid_rub     what the member paid, below zero on a refund; None for an entry
    bonus        earned less spent, less what a refund took; `earned` alone is what the purchase explains
    purchase_id  the purchase that explains it
    """

    id: UUID
    at: datetime
    kind: str
    reason: str
    business: str
    paid_rub: Decimal | None
    bonus: Decimal
    earned: Decimal
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
    """Return purchases, refunds and the entries that belong to neither, as one list.

    Bonuses for an invitation name the newcomer's purchase, yet its own bonuses do not count them.
    """
    purchases = Transaction.objects.filter(member_id=member_id)
    given = Q(lot__kind=BonusLot.Kind.REFERRAL, kind=BonusEntry.Kind.ACCRUAL)
    undone = Q(
        lot__kind=BonusLot.Kind.REFERRAL,
        kind=BonusEntry.Kind.REVERSAL,
        transaction__refund_of=F("lot__transaction"),
    )
    entries = BonusEntry.objects.filter(Q(transaction=None) | given | undone, member_id=member_id)
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
            bonus=_gained(row),
            earned=row.bonus_accrued,
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
            earned=entry.amount,
            purchase_id=entry.lot.transaction_id,
        )
        for entry in entries.select_related("lot__issuer").order_by(*newest)[: limit + 1]
    ]
    items.sort(key=lambda item: (item.at, item.id), reverse=True)
    page = items[:limit]
    last = HistoryCursor(page[-1].at, page[-1].id) if len(items) > limit else None
    return HistoryPage(items=page, after=last)


def _gained(row: Transaction) -> Decimal:
    """Return the bonuses the member gained.

    A refund takes less than it reverses where they had run out, and keeps of what it restores what
    an earlier one had written off.
    """
    parts = {name: Decimal(text) for name, text in row.explanation.get("refund", {}).items()}
    gained = row.bonus_accrued - row.bonus_redeemed - parts.get("recovered", ZERO)
    return gained + parts.get("expired", ZERO) + parts.get("written_off", ZERO)


@dataclass(frozen=True, slots=True)
class PurchaseDetails:
    """A purchase with what came of it.

    available_from, expires_at  of the bonuses it brought; None if it brought none
    gift_available_from         of the bonuses for joining by an invitation; None without them
    refunds                     oldest first
    """

    purchase: Transaction
    refunds: list[Transaction]
    available_from: datetime | None
    expires_at: datetime | None
    gift_available_from: datetime | None

    @property
    def is_refunded_whole(self) -> bool:
        return not sum((refund.amount for refund in self.refunds), self.purchase.amount)


def purchase_details(member_id: UUID, purchase_id: UUID) -> PurchaseDetails | None:
    """Return the member's own purchase, or None: another's is as unknown as one that never was."""
    purchase = (
        Transaction.objects.select_related("business")
        .filter(member_id=member_id, pk=purchase_id, kind=Transaction.Kind.PURCHASE)
        .first()
    )
    if purchase is None:
        return None
    # The inviter's bonuses name this purchase, too; they are not this member's to see.
    lots = {lot.kind: lot for lot in BonusLot.objects.filter(transaction=purchase, member_id=member_id)}
    lot, gift = lots.get(BonusLot.Kind.PURCHASE), lots.get(BonusLot.Kind.REFERRAL)
    return PurchaseDetails(
        purchase=purchase,
        refunds=list(purchase.refunds.order_by("created_at", "pk")),
        available_from=lot.available_from if lot else None,
        expires_at=lot.expires_at if lot else None,
        gift_available_from=gift.available_from if gift else None,
    )
