"""Movements of bonuses: decided member by member under their locks, written by set.

One purchase and ten thousand go through the same `Ledger`, so they obey the same rules.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from loyalty.models import BonusEntry, BonusLot, TierChange
from loyalty.rules import (
    Lot,
    Restored,
    TakeBack,
    Tier,
    end_of_day,
    lot_expiry,
    split_over_lots,
    take_back,
    tier_reached,
)
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write
from svoykrug.money import ZERO

from .accounts import Account, WriteOff
from .ledger_rows import write_movements, write_tiers
from .tiers import tier_holds_until

# Plain text: a member of an enumeration costs a call each time it is named.
ACCRUAL = BonusEntry.Kind.ACCRUAL.value
DEBT = BonusEntry.Kind.DEBT.value
DEBT_REPAYMENT = BonusEntry.Kind.DEBT_REPAYMENT.value
EXPIRY = BonusEntry.Kind.EXPIRY.value
REDEMPTION = BonusEntry.Kind.REDEMPTION.value
RESTORATION = BonusEntry.Kind.RESTORATION.value
REVERSAL = BonusEntry.Kind.REVERSAL.value
WRITE_OFF = BonusEntry.Kind.WRITE_OFF.value
OF_PURCHASE = BonusLot.Kind.PURCHASE.value


class Ledger:
    """The accounts of the locked members and everything this call will write to them."""

    def __init__(self, accounts: dict[UUID, Account], tiers: list[Tier], *, recorded_at: datetime) -> None:
        self.accounts = accounts
        self.tiers = tiers
        self.recorded_at = recorded_at
        self.entries: list[dict[str, Any]] = []
        self.tier_changes: list[dict[str, Any]] = []
        self.opened: list[Lot] = []
        # Stored lots that move.
        self.moved: list[Lot] = []
        self.touched: dict[UUID, Account] = {}
        # What of a purchase's own bonuses lapsed unspent during this call.
        self.lapsed: dict[UUID, Decimal] = {}
        # The first moment whose whole year before it is loaded, for members that may rise.
        self.paid_from: datetime | None = None

    # --- Movements ---------------------------------------------------------------------------

    def accrue(
        self,
        account: Account,
        *,
        issuer_id: UUID,
        transaction_id: UUID,
        amount: Decimal,
        at: datetime,
        pending_days: int = 0,
        kind: str = OF_PURCHASE,
    ) -> Decimal:
        """Open a lot and repay debt from it first. Returns the debt repaid.

        amount  bonuses, two decimals; zero opens nothing
        at      when the purchase that brings it happened
        """
        if not amount:
            return ZERO
        repaid = min(account.debt, amount)
        lot = Lot(
            member_id=account.member_id,
            id=uuid7(),
            kind=kind,
            issuer_id=issuer_id,
            transaction_id=transaction_id,
            accrued=amount,
            remaining=ZERO,
            available_from=at + timedelta(days=pending_days) if pending_days else at,
            expires_at=lot_expiry(
                at, lifetime_days=settings.LOT_LIFETIME_DAYS, zone=timezone.get_default_timezone()
            ),
            is_new=True,
        )
        self.opened.append(lot)
        self._move(account, lot, amount, ACCRUAL, transaction_id, at)
        if repaid:
            self._move(account, lot, -repaid, DEBT_REPAYMENT, transaction_id, at)
        account.keep(lot)
        return repaid

    def redeem(
        self, account: Account, amount: Decimal, *, transaction_id: UUID, honoured_by: UUID, at: datetime
    ) -> list[tuple[UUID, Decimal]]:
        """Spend available lots, soonest expiry first; the caller has checked that they suffice.

        Returns lots and bonuses, newest spend first.
        """
        spendable = (lot for lot in account.lots_by_expiry(at=at) if lot.available_from <= at)
        parts = list(split_over_lots(spendable, amount))
        for lot, part in parts:
            self._move(account, lot, -part, REDEMPTION, transaction_id, at, honoured_by=honoured_by)
        return [(lot.id, part) for lot, part in reversed(parts)]

    def restore(
        self,
        account: Account,
        parts: Iterable[tuple[UUID, Decimal]],
        *,
        spent_at: int,
        refund_id: UUID,
        honoured_by: UUID,
        at: datetime,
    ) -> Restored:
        """Return redeemed bonuses to the lots they came from (rules.md, Refund, point 1).

        parts     lot and bonuses, newest spend first
        spent_at  position of the last entry of that spending

        A lot that has expired since lives some days more. What was written off while the bonuses
        were spent, then debt, is made good from them at once: decision 0013.
        """
        recovered = repaid = ZERO
        for lot_id, part in parts:
            lot = account.lots[lot_id]
            self._move(account, lot, part, RESTORATION, refund_id, at, honoured_by=honoured_by)
            if lot.expires_at <= at:
                last_day = timezone.localdate(at) + timedelta(days=settings.RESTORED_LOT_DAYS)
                lot.expires_at = end_of_day(last_day, timezone.get_default_timezone())
            left = part
            for write_off_lot, made_good in account.recover(part, since=spent_at):
                self._move(account, lot, -made_good, REVERSAL, refund_id, at)
                self._enter(account, write_off_lot, made_good, WRITE_OFF, refund_id, at)
                left -= made_good
                recovered += made_good
            if owed := min(account.debt, left):
                self._move(account, lot, -owed, DEBT_REPAYMENT, refund_id, at)
                repaid += owed
            heappush(account.lapsing, (lot.expires_at, lot.id))
        return Restored(recovered, repaid)

    def lapse(self, account: Account, *, at: datetime) -> None:
        """Close the account's lots that expired by `at`, each dated by its own expiry.

        Called before every movement, so history gives the same balances whenever it is recorded.
        """
        while account.lapsing and account.lapsing[0][0] <= at:
            lot = account.lots[heappop(account.lapsing)[1]]
            if lot.remaining and lot.expires_at <= at:
                if lot.transaction_id and lot.kind == OF_PURCHASE:
                    lapsed = self.lapsed.get(lot.transaction_id, ZERO)
                    self.lapsed[lot.transaction_id] = lapsed + lot.remaining
                self._move(account, lot, -lot.remaining, EXPIRY, None, lot.expires_at)

    def reverse(
        self,
        account: Account,
        *,
        own: Sequence[Lot],
        refund_id: UUID,
        amount: Decimal,
        expired: Decimal,
        at: datetime,
    ) -> TakeBack:
        """Take back bonuses that a refunded purchase had brought (rules.md, Refund, point 2).

        own      the lots that the purchase opened
        amount   bonuses to take back; zero does nothing
        expired  of those lots, what lapsed unspent and no earlier refund has counted
        """
        if not amount:
            return TakeBack(from_lots=[], expired=ZERO, debt=ZERO, written_off=ZERO)
        taken = take_back(
            amount,
            own=own,
            expired=expired,
            others=account.lots_by_expiry(but=own, at=at),
            debt_room=account.tier.overdraft_limit - account.debt,
        )
        for lot, part in taken.from_lots:
            self._move(account, lot, -part, REVERSAL, refund_id, at)
        # Debt and write-offs name the lot they come from, so that the issuer can be charged.
        if taken.debt:
            account.debt += taken.debt
            self._enter(account, own[0].id, -taken.debt, DEBT, refund_id, at)
        if taken.written_off:
            self._enter(account, own[0].id, -taken.written_off, WRITE_OFF, refund_id, at)
            account.written_off.append(WriteOff(account.entries, own[0].id, taken.written_off))
        return taken

    # --- Tiers -------------------------------------------------------------------------------

    def needs_turnover(self, account: Account, paid: Decimal, *, at: datetime) -> bool:
        """Whether roubles paid at that moment may lift the member, so that the year must be added up."""
        above = [tier for tier in self.tiers if tier.level > account.tier.level]
        if not above:
            return False
        backdated = account.turnover_as_of is not None and at < account.turnover_as_of
        return backdated or account.turnover_bound + paid >= above[0].threshold_rub

    def paid(self, account: Account, paid: Decimal, *, transaction_id: UUID, at: datetime) -> Tier | None:
        """Note roubles paid, less than zero for a refund. Returns the tier the member rises to, if any.

        Rule: Tiers. A refund never lowers at once, the review does.
        """
        if account.paid is not None:
            account.paid.add(paid, at=at)
        if paid <= 0:
            return None
        needs = self.needs_turnover(account, paid, at=at)
        account.turnover_bound += paid
        self.touched[account.member_id] = account
        if not needs:
            return None
        assert account.paid is not None, "the caller loads what needs_turnover asks for"
        turnover = account.paid.turnover(at)
        # Everything loaded bounds the turnover of any moment of this call or later.
        account.turnover_bound = account.paid.bound()
        account.turnover_as_of = self.paid_from
        reached = tier_reached(max(turnover, ZERO), self.tiers)
        if reached.level <= account.tier.level:
            return None
        self.tier_changes.append(
            {
                "id": uuid7(), "created_at": at, "user_id": account.member_id,
                "from_level": account.tier.level, "to_level": reached.level,
                "reason": TierChange.Reason.RISE.value, "turnover_rub": turnover,
                "transaction_id": transaction_id, "tier_id": reached.id, "until": tier_holds_until(at),
                "recorded_at": self.recorded_at,
            }
        )  # fmt: skip
        account.tier = reached
        return reached

    def write_movements(self, write: Write) -> None:
        """Add the lots, balances and entries that no statement has yet; the caller holds the members' locks.

        What moves afterwards goes into a later statement of the same transaction.
        """
        write_movements(self, write)
        for lot in (*self.opened, *self.moved):
            lot.is_new, lot.before = False, None
        self.opened, self.moved, self.entries, self.touched = [], [], [], {}

    def write(self, write: Write) -> None:
        """Add everything that no statement has yet, tiers included."""
        self.write_movements(write)
        write_tiers(self.tier_changes, write)

    # --- Bookkeeping -------------------------------------------------------------------------

    def _move(
        self,
        account: Account,
        lot: Lot,
        change: Decimal,
        kind: str,
        transaction_id: UUID | None,
        at: datetime,
        *,
        honoured_by: UUID | None = None,
    ) -> None:
        """Change what is left of a lot and enter it."""
        if lot.before is None and not lot.is_new:
            lot.before = lot.remaining
            self.moved.append(lot)
        lot.remaining += change
        account.total += change
        if lot.available_from > self.recorded_at:
            account.pending += change
        if kind == DEBT_REPAYMENT:
            account.debt += change
        self._enter(account, lot.id, change, kind, transaction_id, at, honoured_by)

    def _enter(
        self,
        account: Account,
        lot_id: UUID,
        amount: Decimal,
        kind: str,
        transaction_id: UUID | None,
        at: datetime,
        honoured_by: UUID | None = None,
    ) -> None:
        account.entries += 1
        self.touched[account.member_id] = account
        self.entries.append(
            {
                "id": uuid7(), "created_at": at, "lot_id": lot_id, "user_id": account.member_id, "kind": kind,
                "amount": amount, "transaction_id": transaction_id, "honoured_by": honoured_by,
                "recorded_at": self.recorded_at, "position": account.entries, "total_after": account.total,
                "debt_after": account.debt,
            }
        )  # fmt: skip
