"""The arithmetic of bonuses, with no database: specification, rules.md, Purchase, Ledger and Refund."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from svoykrug.money import ZERO


@dataclass(frozen=True, slots=True)
class Tier:
    """A status tier's terms; percents per hundred, sums in roubles and bonuses."""

    id: UUID
    level: int
    name: str
    name_en: str
    threshold_rub: Decimal
    accrual_percent: Decimal
    redemption_cap_percent: Decimal
    overdraft_limit: Decimal


@dataclass(slots=True)
class Lot:
    """A lot while a call decides, under its member's lock. `remaining` moves with the decisions.

    before  what was left when the call began, once it has moved; None too for a lot that is new
    """

    member_id: UUID
    id: UUID
    kind: str
    issuer_id: UUID
    transaction_id: UUID | None
    accrued: Decimal
    remaining: Decimal
    available_from: datetime
    expires_at: datetime
    before: Decimal | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class TakeBack:
    """How a sum of accrued bonuses was taken back; the parts add up to the sum.

    expired  had lapsed unspent before, so the member has lost it already
    """

    from_lots: list[tuple[Lot, Decimal]]
    expired: Decimal
    debt: Decimal
    written_off: Decimal

    @property
    def taken(self) -> Decimal:
        return sum((part for _, part in self.from_lots), ZERO)


@dataclass(frozen=True, slots=True)
class Restored:
    """What of the restored bonuses went at once to make good what earlier refunds could not take back.

    recovered  of write-offs
    repaid     of debt
    """

    recovered: Decimal
    repaid: Decimal


@lru_cache(maxsize=4096)
def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment after `day` in `zone`."""
    return datetime.combine(day + timedelta(days=1), time(), zone)


def lot_expiry(purchased_at: datetime, *, lifetime_days: int, zone: ZoneInfo) -> datetime:
    """Return when a lot of that purchase lapses: at the end of the local day `lifetime_days` later."""
    return end_of_day(purchased_at.astimezone(zone).date() + timedelta(days=lifetime_days), zone)


def take_back(
    amount: Decimal, *, own: Iterable[Lot], expired: Decimal, others: Iterable[Lot], debt_room: Decimal
) -> TakeBack:
    """Take bonuses back from the purchase's own lots, then the member's others, then as debt.

    amount     bonuses to take back
    own        lots of the refunded purchase
    expired    of those lots, what lapsed unspent and no earlier refund has counted yet
    others     the member's other lots with something left, soonest expiry first
    debt_room  what the tier's overdraft still allows

    Only decides: the lots are left as they are. What nothing covers is written off.
    Rule: Refund, point 2; decision 0010 for what has expired.
    """
    parts = list(split_over_lots(own, amount))
    amount -= sum((part for _, part in parts), ZERO)
    counted = min(amount, expired)
    amount -= counted
    for lot, part in split_over_lots(others, amount):
        parts.append((lot, part))
        amount -= part
    debt = min(amount, max(debt_room, ZERO))
    return TakeBack(from_lots=parts, expired=counted, debt=debt, written_off=amount - debt)


def tier_reached(turnover: Decimal, tiers: Iterable[Tier]) -> Tier:
    """Return the highest tier whose threshold the turnover reaches."""
    return max((t for t in tiers if t.threshold_rub <= turnover), key=lambda tier: tier.level)


def split_over_lots(lots: Iterable[Lot], amount: Decimal) -> Iterator[tuple[Lot, Decimal]]:
    """Yield how much of `amount` each lot gives, in order, until the amount or the lots run out."""
    if amount <= 0:
        return
    for lot in lots:
        part = min(lot.remaining, amount)
        if part > 0:
            amount -= part
            yield lot, part
        if not amount:
            return
