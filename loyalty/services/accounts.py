"""Members' bonuses while a call decides over them: what is loaded, under the members' locks."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from heapq import heappush
from typing import Any
from uuid import UUID

from loyalty.rules import Lot, Tier
from svoykrug.db.sql import Rows, read
from svoykrug.money import ZERO

from .turnover import Paid

TIERS = """
    SELECT id, level, name, name_en, threshold_rub, accrual_percent, redemption_cap_percent, overdraft_limit
    FROM status_tiers ORDER BY level
"""
BALANCES = """
    SELECT user_id, balance + pending, pending, debt, expires_at, entries, turnover_bound, turnover_as_of
    FROM bonuses WHERE user_id = ANY(%s::uuid[])
"""
LOTS = """
    SELECT user_id, id, kind, issuer_id, transaction_id, accrued, remaining, available_from, expires_at
    FROM bonus_lots WHERE
"""
LAPSING_LOTS = f"{LOTS} user_id = ANY(%s::uuid[]) AND remaining > 0 AND expires_at <= %s"
LIVE_LOTS = f"{LOTS} user_id = ANY(%s::uuid[]) AND remaining > 0"
# Even empty ones: a lot names its issuer, and bonuses return to the lots they were spent from.
# With OR instead of UNION no index would serve and the whole table would be read.
LOTS_OF_PURCHASES = f"""
    {LOTS} id IN (
        SELECT id FROM bonus_lots WHERE transaction_id = ANY(%s::uuid[])
        UNION SELECT lot_id FROM bonus_entries WHERE transaction_id = ANY(%s::uuid[]) AND kind = 'redemption'
    )
"""  # noqa: S608  our own text
STILL_PENDING = """
    SELECT user_id, sum(remaining) FROM bonus_lots
    WHERE user_id = ANY(%s::uuid[]) AND remaining > 0 AND available_from > %s GROUP BY user_id
"""
HELD = """
    SELECT user_id, id, amount FROM bonus_holds
    WHERE user_id = ANY(%s::uuid[]) AND released_at IS NULL AND expires_at > %s
"""
# Every write-off of the members whose purchases these are, where bonuses paid. One above zero was
# made good by bonuses spent at the position in the last column.
WRITTEN_OFF = """
    SELECT e.user_id, e.position, e.lot_id, e.amount, CASE WHEN e.amount > 0 THEN (
        SELECT max(spent.position) FROM transactions refund
        JOIN bonus_entries spent ON spent.transaction_id = refund.refund_of AND spent.kind = 'redemption'
        WHERE refund.id = e.transaction_id
    ) END
    FROM bonus_entries e
    WHERE e.kind = 'write_off' AND e.user_id IN (
        SELECT user_id FROM transactions WHERE id = ANY(%s::uuid[]) AND bonus_redeemed > 0
    )
    ORDER BY e.position
"""


@dataclass(slots=True)
class WriteOff:
    """What a refund could not take back; `left` of it nothing has made good yet."""

    position: int
    lot_id: UUID
    left: Decimal


@dataclass(slots=True)
class Account:
    """A member's bonuses while a call decides; sums are what `bonuses` will hold afterwards.

    total  balance and pending together
    """

    member_id: UUID
    tier: Tier
    invited_by: UUID | None = None
    total: Decimal = ZERO
    pending: Decimal = ZERO
    debt: Decimal = ZERO
    expires_at: datetime | None = None
    entries: int = 0
    turnover_bound: Decimal = ZERO
    turnover_as_of: datetime | None = None
    # Lots that may move during this call, and those it opens; the same by what opened them, and by
    # expiry: what lapses next stands first.
    lots: dict[UUID, Lot] = field(default_factory=dict)
    of_purchase: dict[UUID, list[Lot]] = field(default_factory=dict)
    lapsing: list[tuple[datetime, UUID]] = field(default_factory=list)
    has_live_lots: bool = False
    # Oldest first; known for members of refunded purchases that bonuses paid for.
    written_off: list[WriteOff] = field(default_factory=list)
    # Live holds by id.
    held: dict[UUID, Decimal] = field(default_factory=dict)
    # The year, once somebody has to add it up.
    paid: Paid | None = None

    @property
    def balance(self) -> Decimal:
        return self.total - self.pending

    def keep(self, lot: Lot) -> None:
        """Know of a lot during this call; one that is known already may have moved since it was stored."""
        if lot.id in self.lots:
            return
        self.lots[lot.id] = lot
        if lot.transaction_id:
            self.of_purchase.setdefault(lot.transaction_id, []).append(lot)
        if lot.remaining:
            heappush(self.lapsing, (lot.expires_at, lot.id))

    def lots_by_expiry(self, *, but: Collection[Lot] = (), at: datetime) -> Iterator[Lot]:
        """Yield lots with something left, soonest expiry first, then oldest; pending ones too.

        but  lots to leave out

        Most calls never ask, so what is not loaded yet is read here.
        """
        if not self.has_live_lots:
            load_lots({self.member_id: self}, read((LIVE_LOTS, [[self.member_id]]))[0])
            self.has_live_lots = True
        out = {lot.id for lot in but}
        live = (
            lot for lot in self.lots.values() if lot.remaining and lot.expires_at > at and lot.id not in out
        )
        yield from sorted(live, key=lambda lot: (lot.expires_at, lot.id))

    def recover(self, amount: Decimal, *, since: int) -> list[tuple[UUID, Decimal]]:
        """Make good up to `amount` of what was written off after the entry at `since`, oldest first.

        Returns the lots that the write-offs stand on, and how much of each.
        """
        parts = []
        for write_off in self.written_off:
            part = min(write_off.left, amount) if write_off.position > since else ZERO
            if part:
                write_off.left -= part
                amount -= part
                parts.append((write_off.lot_id, part))
        return parts

    def available(self, *, at: datetime, but_hold: UUID | None = None) -> Decimal:
        """Return what may be spent at that moment: live lots less holds, `but_hold` not counted."""
        live = sum((lot.remaining for lot in self.lots_by_expiry(at=at) if lot.available_from <= at), ZERO)
        held = sum((amount for hold, amount in self.held.items() if hold != but_hold), ZERO)
        return max(live - held, ZERO)


def load_lots(accounts: dict[UUID, Account], rows: Rows) -> None:
    for row in rows:
        if account := accounts.get(row[0]):
            account.keep(Lot(*row))


def load_written_off(accounts: dict[UUID, Account], rows: Rows) -> None:
    """Note the write-offs, and go over what has made them good in the order in which it happened."""
    for member_id, position, lot_id, amount, spent_at in rows:
        if account := accounts.get(member_id):
            if amount < 0:
                account.written_off.append(WriteOff(position, lot_id, -amount))
                continue
            for write_off in account.written_off:
                if write_off.lot_id == lot_id and write_off.position > spent_at:
                    part = min(write_off.left, amount)
                    write_off.left -= part
                    amount -= part


def load_balances(accounts: dict[UUID, Account], rows: Rows) -> None:
    for member_id, total, *values in rows:
        if account := accounts.get(member_id):
            account.total = total
            account.pending, account.debt, account.expires_at, account.entries = values[:4]
            account.turnover_bound, account.turnover_as_of = values[4:]


def mature(accounts: dict[UUID, Account], still_pending: Rows) -> None:
    """Move what has become available since the accounts were last written from pending to balance."""
    pending: dict[Any, Decimal] = dict(still_pending)
    for account in accounts.values():
        account.pending = pending.get(account.member_id, ZERO)
