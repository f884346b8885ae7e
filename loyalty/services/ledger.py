"""Movements of bonuses: decided member by member under their locks, written by set.

One purchase and ten thousand go through the same `Ledger`, so they obey the same rules.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from loyalty.locks import lock_members
from loyalty.models import BonusEntry, BonusLot, Business, StatusTier
from loyalty.rules import Lot, TakeBack, lot_expiry, take_back
from svoykrug.db.bulk import insert_rows
from svoykrug.db.models import uuid7
from svoykrug.money import ZERO

Kind = BonusEntry.Kind

LOT_COLUMNS = (
    "id", "created_at", "user_id", "issuer_id", "transaction_id", "kind",
    "accrued", "remaining", "available_from", "expires_at",
)  # fmt: skip
ENTRY_COLUMNS = (
    "id", "created_at", "lot_id", "user_id", "kind", "amount", "transaction_id", "honoured_by", "recorded_at",
)  # fmt: skip


@dataclass(slots=True)
class Account:
    """A member's bonuses while a call decides; sums are what `bonuses` will hold afterwards."""

    member_id: UUID
    tier: StatusTier
    balance: Decimal = ZERO
    pending: Decimal = ZERO
    debt: Decimal = ZERO
    expires_at: datetime | None = None
    # Lots that may lapse or be taken back during this call, and those it opens.
    lots: dict[UUID, Lot] = field(default_factory=dict)
    # The same lots by the purchase that opened them, and by expiry: what lapses next stands first.
    of_purchase: dict[UUID, list[Lot]] = field(default_factory=dict)
    lapsing: list[tuple[datetime, UUID]] = field(default_factory=list)
    has_all_lots: bool = False

    def hold(self, lot: Lot) -> None:
        """Know of a lot during this call; one that is known already may have moved since it was stored."""
        if lot.id in self.lots:
            return
        self.lots[lot.id] = lot
        if lot.transaction_id:
            self.of_purchase.setdefault(lot.transaction_id, []).append(lot)
        heappush(self.lapsing, (lot.expires_at, lot.id))

    def others_by_expiry(self, purchase_id: UUID, *, at: datetime) -> Iterator[Lot]:
        """Yield the live and pending lots of other purchases.

        Most refunds take from their own lot alone, so the others are read only if asked for.
        """
        if not self.has_all_lots:
            _load_lots({self.member_id: self}, all_of=[self.member_id])
            self.has_all_lots = True
        live = (
            lot for lot in self.lots.values() if lot.transaction_id != purchase_id and lot.expires_at > at
        )
        yield from sorted(live, key=lambda lot: (lot.expires_at, lot.id))


class Ledger:
    """The accounts of the locked members and everything this call will write to them."""

    def __init__(self, accounts: dict[UUID, Account], *, recorded_at: datetime) -> None:
        self.accounts = accounts
        self.recorded_at = recorded_at
        self._touched: set[UUID] = set()
        self._opened: list[tuple[Lot, UUID]] = []
        self._opened_ids: set[UUID] = set()
        self._taken: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
        self._entries: list[tuple[Any, ...]] = []

    def accrue(
        self, account: Account, *, issuer: Business, transaction_id: UUID, amount: Decimal, at: datetime
    ) -> Decimal:
        """Open the lot of a purchase and repay debt from it first. Returns the debt repaid.

        amount  bonuses, two decimals; zero opens nothing
        at      when the purchase happened
        """
        if not amount:
            return ZERO
        repaid = min(account.debt, amount)
        lot = Lot(
            id=uuid7(),
            issuer_id=issuer.pk,
            transaction_id=transaction_id,
            accrued=amount,
            remaining=amount - repaid,
            available_from=at + timedelta(days=issuer.pending_days),
            expires_at=lot_expiry(
                at, lifetime_days=settings.LOT_LIFETIME_DAYS, zone=timezone.get_default_timezone()
            ),
        )
        account.hold(lot)
        self._opened.append((lot, account.member_id))
        self._opened_ids.add(lot.id)
        self._enter(account, lot.id, Kind.ACCRUAL, amount, transaction_id, at)
        if repaid:
            account.debt -= repaid
            self._enter(account, lot.id, Kind.DEBT_REPAYMENT, -repaid, transaction_id, at)
        self._add(account, lot, lot.remaining)
        return repaid

    def lapse(self, account: Account, *, at: datetime) -> None:
        """Close the account's lots that expired by `at`, each dated by its own expiry.

        Called before every movement, so history gives the same balances whenever it is recorded.
        """
        while account.lapsing and account.lapsing[0][0] <= at:
            lot = account.lots[heappop(account.lapsing)[1]]
            if lot.remaining:
                left = lot.remaining
                self._take(account, lot, left)
                self._enter(account, lot.id, Kind.EXPIRY, -left, None, lot.expires_at)

    def reverse(
        self, account: Account, *, purchase_id: UUID, refund_id: UUID, amount: Decimal, at: datetime
    ) -> TakeBack:
        """Take back bonuses that a refunded purchase had brought (rules.md, Refund, point 2).

        amount  bonuses to take back; zero does nothing
        """
        if not amount:
            return TakeBack(from_lots=[], debt=ZERO, written_off=ZERO)
        own = account.of_purchase.get(purchase_id, [])
        room = account.tier.overdraft_limit - account.debt
        others = account.others_by_expiry(purchase_id, at=at)
        taken = take_back(amount, own=own, others=others, debt_room=room)
        for lot, part in taken.from_lots:
            self._take(account, lot, part)
            self._enter(account, lot.id, Kind.REVERSAL, -part, refund_id, at)
        # Debt and write-offs name the lot they come from, so that the issuer can be charged.
        if taken.debt:
            account.debt += taken.debt
            self._enter(account, own[0].id, Kind.DEBT, -taken.debt, refund_id, at)
        if taken.written_off:
            self._enter(account, own[0].id, Kind.WRITE_OFF, -taken.written_off, refund_id, at)
        return taken

    def write(self) -> None:
        """Store lots, entries and balances; the caller holds the members' locks and the transaction."""
        insert_rows("bonus_lots", LOT_COLUMNS, [self._lot_row(lot, member) for lot, member in self._opened])
        self._shrink_lots()
        insert_rows("bonus_entries", ENTRY_COLUMNS, self._entries)
        self._store_balances()

    def _take(self, account: Account, lot: Lot, part: Decimal) -> None:
        lot.remaining -= part
        self._add(account, lot, -part)
        if lot.id not in self._opened_ids:
            self._taken[lot.id] += part

    def _enter(
        self,
        account: Account,
        lot_id: UUID,
        kind: str,
        amount: Decimal,
        transaction_id: UUID | None,
        at: datetime,
    ) -> None:
        self._touched.add(account.member_id)
        self._entries.append(
            (
                uuid7(),
                at,
                lot_id,
                account.member_id,
                str(kind),
                amount,
                transaction_id,
                None,
                self.recorded_at,
            )
        )

    def _add(self, account: Account, lot: Lot, amount: Decimal) -> None:
        if lot.available_from > self.recorded_at:
            account.pending += amount
        else:
            account.balance += amount

    def _lot_row(self, lot: Lot, member_id: UUID) -> tuple[Any, ...]:
        return (
            lot.id, self.recorded_at, member_id, lot.issuer_id, lot.transaction_id,
            BonusLot.Kind.PURCHASE.value, lot.accrued, lot.remaining, lot.available_from, lot.expires_at,
        )  # fmt: skip

    def _shrink_lots(self) -> None:
        if not self._taken:
            return
        with connection.cursor() as cursor:
            # A difference and not a plain number: were a lock ever forgotten, the check
            # constraint refuses the second taking instead of losing it.
            cursor.execute(
                """
                UPDATE bonus_lots SET remaining = remaining - t.part
                FROM unnest(%s::uuid[], %s::numeric[]) AS t(id, part) WHERE bonus_lots.id = t.id
                """,
                [list(self._taken), list(self._taken.values())],
            )

    def _store_balances(self) -> None:
        accounts = [self.accounts[member_id] for member_id in self._touched]
        if not accounts:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO bonuses (id, created_at, updated_at, user_id, balance, pending, debt, expires_at)
                SELECT id, %s, %s, user_id, balance, pending, debt,
                    (SELECT min(expires_at) FROM bonus_lots l WHERE l.user_id = t.user_id AND remaining > 0)
                FROM unnest(%s::uuid[], %s::uuid[], %s::numeric[], %s::numeric[], %s::numeric[])
                    AS t(id, user_id, balance, pending, debt)
                ON CONFLICT (user_id) DO UPDATE SET
                    updated_at = EXCLUDED.updated_at, balance = EXCLUDED.balance,
                    pending = EXCLUDED.pending, debt = EXCLUDED.debt, expires_at = EXCLUDED.expires_at
                """,
                [
                    self.recorded_at,
                    self.recorded_at,
                    [uuid7() for _account in accounts],
                    [account.member_id for account in accounts],
                    [account.balance for account in accounts],
                    [account.pending for account in accounts],
                    [account.debt for account in accounts],
                ],
            )


def open_ledger(
    member_ids: Collection[UUID],
    *,
    refunded: Collection[UUID] = (),
    until: datetime,
    recorded_at: datetime,
) -> Ledger:
    """Lock the members and load their accounts.

    refunded  stored purchases that refunds name
    until     the latest moment this call will decide for

    A member who does not exist or has left is not among the accounts.
    """
    members = lock_members(member_ids)
    tiers = {tier.pk: tier for tier in StatusTier.objects.all()}
    accounts = {
        member.pk: Account(member_id=member.pk, tier=tiers[member.status_tier_id])
        for member in members.values()
    }
    with connection.cursor() as cursor:
        # After the lock and in a statement of its own: a joined read would show the balance
        # as it was before we waited.
        cursor.execute(
            "SELECT user_id, balance, pending, debt, expires_at FROM bonuses WHERE user_id = ANY(%s)",
            [list(accounts)],
        )
        for member_id, balance, pending, debt, expires_at in cursor.fetchall():
            account = accounts[member_id]
            account.balance, account.pending, account.debt = balance, pending, debt
            account.expires_at = expires_at
    lapsing = [pk for pk, account in accounts.items() if account.expires_at and account.expires_at <= until]
    if lapsing or refunded:
        _load_lots(accounts, lapsing=lapsing, until=until, refunded=list(refunded))
    _mature(accounts, at=recorded_at)
    return Ledger(accounts, recorded_at=recorded_at)


def _load_lots(
    accounts: dict[UUID, Account],
    *,
    lapsing: Sequence[UUID] = (),
    until: datetime | None = None,
    refunded: Sequence[UUID] = (),
    all_of: Sequence[UUID] = (),
) -> None:
    """Load lots into the accounts.

    lapsing, until  of these members, what will have lapsed by then
    refunded        of these purchases, even when empty: the lot names the issuer
    all_of          of these members, all that have something left
    """
    lots = """
        SELECT user_id, id, issuer_id, transaction_id, accrued, remaining, available_from, expires_at
        FROM bonus_lots WHERE
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            {lots} user_id = ANY(%s::uuid[]) AND remaining > 0 AND expires_at <= %s
            UNION {lots} transaction_id = ANY(%s::uuid[])
            UNION {lots} user_id = ANY(%s::uuid[]) AND remaining > 0
            """,
            [list(lapsing), until, list(refunded), list(all_of)],
        )
        for member_id, *values in cursor.fetchall():
            if member_id in accounts:
                accounts[member_id].hold(Lot(*values))


def _mature(accounts: dict[UUID, Account], *, at: datetime) -> None:
    """Move what has become available since the account was last written from pending to balance."""
    waiting = [pk for pk, account in accounts.items() if account.pending]
    if not waiting:
        return
    lots = BonusLot.objects.filter(member_id__in=waiting).pending(at)
    still = dict(lots.values_list("member_id").annotate(sum=Sum("remaining")))
    for member_id in waiting:
        account = accounts[member_id]
        pending = still.get(member_id, ZERO)
        account.balance += account.pending - pending
        account.pending = pending
