"""The arithmetic of bonuses, with no database: specification, rules.md, Purchase, Ledger and Refund."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from uuid import UUID
from zoneinfo import ZoneInfo

from svoykrug.money import ZERO, percent_of, round_half_up


@dataclass(slots=True)
class Lot:
    """A lot while a call decides, under its member's lock. `remaining` moves with the decisions."""

    id: UUID
    issuer_id: UUID
    transaction_id: UUID | None
    accrued: Decimal
    remaining: Decimal
    available_from: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TakeBack:
    """How a sum of accrued bonuses was taken back; the parts add up to the sum."""

    from_lots: list[tuple[Lot, Decimal]]
    debt: Decimal
    written_off: Decimal


@lru_cache(maxsize=4096)
def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment after `day` in `zone`."""
    return datetime.combine(day + timedelta(days=1), time(), zone)


def lot_expiry(purchased_at: datetime, *, lifetime_days: int, zone: ZoneInfo) -> datetime:
    """Return when a lot of that purchase lapses: at the end of the local day `lifetime_days` later."""
    return end_of_day(purchased_at.astimezone(zone).date() + timedelta(days=lifetime_days), zone)


def accrual(earn_base: Decimal, *, percent: Decimal, multiplier: Decimal = Decimal(1)) -> Decimal:
    """Return the bonuses a bill earns: tier percent, then multiplier, then the one rounding.

    earn_base  roubles that earn; below zero counts as zero
    """
    return round_half_up(percent_of(max(earn_base, ZERO), percent) * multiplier)


def share_of_refund(part: Decimal, *, refunded: Decimal, amount: Decimal, given: Decimal) -> Decimal:
    """Return how much of `part` goes with this refund.

    part      what the whole purchase carries: bonuses accrued, a discount
    refunded  roubles refunded so far, this refund included
    amount    roubles of the purchase
    given     how much of `part` went with earlier refunds

    Counted from the running total, so the last refund takes exactly what is left.
    """
    return round_half_up(part * refunded / amount) - given


def take_back(amount: Decimal, *, own: Iterable[Lot], others: Iterable[Lot], debt_room: Decimal) -> TakeBack:
    """Take bonuses back from the purchase's own lots, then the member's others, then as debt.

    amount     bonuses to take back
    own        lots of the refunded purchase
    others     the member's other lots with something left, soonest expiry first
    debt_room  what the tier's overdraft still allows

    Only decides: the lots are left as they are. What nothing covers is written off.
    Rule: Refund, point 2.
    """
    parts = list(split_over_lots(chain(own, others), amount))
    amount -= sum((part for _, part in parts), ZERO)
    debt = min(amount, max(debt_room, ZERO))
    return TakeBack(from_lots=parts, debt=debt, written_off=amount - debt)


def split_over_lots(lots: Iterable[Lot], amount: Decimal) -> Iterator[tuple[Lot, Decimal]]:
    """Yield how much of `amount` each lot gives, in order, until the amount or the lots run out."""
    for lot in lots:
        if amount <= 0:
            return
        part = min(lot.remaining, amount)
        if part > 0:
            amount -= part
            yield lot, part
