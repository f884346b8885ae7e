"""What a ledger reads: the locked members' accounts, and what only some calls need beyond them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from loyalty import locks
from loyalty.rules import Tier
from svoykrug.db.sql import Rows, read

from .accounts import (
    BALANCES,
    HELD,
    LAPSING_LOTS,
    LIVE_LOTS,
    LOTS_OF_PURCHASES,
    STILL_PENDING,
    TIERS,
    WRITTEN_OFF,
    Account,
    load_balances,
    load_lots,
    load_written_off,
    mature,
)
from .ledger import Ledger
from .turnover import PAID, load_paid

Query = tuple[str, Sequence[Any]]


def open_ledger(
    member_ids: Collection[UUID],
    *,
    recorded_at: datetime,
    terms: Sequence[Query] = (),
    also: Sequence[Query] = (),
) -> tuple[Ledger, list[Rows]]:
    """Lock the members and load their accounts, in one round trip. Returns also the rows of the others.

    terms  queries that need no lock; they are asked before it, so that nobody waits for them
    also   queries that must see what the last holder of the locks has written

    A member who does not exist or has left is not among the accounts. The caller goes on with
    `load_further` before it decides anything.
    """
    ids = list(member_ids)
    tiers, *found = read((TIERS, []), *terms, (locks.LOCK_MEMBERS, [ids]), (BALANCES, [ids]), *also)
    locked, balances = found[len(terms) : len(terms) + 2]
    others = found[: len(terms)] + found[len(terms) + 2 :]
    by_id = {row[0]: Tier(*row) for row in tiers}
    accounts = {
        pk: Account(member_id=pk, tier=by_id[tier_id], invited_by=inviter) for pk, tier_id, inviter in locked
    }
    load_balances(accounts, balances)
    return Ledger(accounts, list(by_id.values()), recorded_at=recorded_at), others


def load_further(
    ledger: Ledger,
    *,
    until: datetime,
    spending: Collection[UUID] = (),
    refunded: Collection[UUID] = (),
    rising: Collection[UUID] = (),
    since: datetime | None = None,
    also: Sequence[Query] = (),
) -> list[Rows]:
    """Read what some calls need beyond the balances. Returns the rows of `also`.

    until     the latest moment this call will decide for
    spending  members whose live lots and holds matter
    refunded  stored purchases whose lots matter
    rising    members whose roubles paid after `since` are to be added up
    """
    queries: list[tuple[Query, Any]] = []
    lapsing = [
        pk for pk, account in ledger.accounts.items() if account.expires_at and account.expires_at <= until
    ]
    if lapsing:
        queries.append(((LAPSING_LOTS, [lapsing, until]), lambda rows: load_lots(ledger.accounts, rows)))
    if pending := [pk for pk, account in ledger.accounts.items() if account.pending]:
        some = {pk: ledger.accounts[pk] for pk in pending}
        queries.append(((STILL_PENDING, [pending, ledger.recorded_at]), lambda rows: mature(some, rows)))
    if spending:
        queries.append(((LIVE_LOTS, [list(spending)]), lambda rows: _load_live(ledger, spending, rows)))
        queries.append(((HELD, [list(spending), ledger.recorded_at]), lambda rows: _load_held(ledger, rows)))
    if refunded:
        purchases = list(refunded)
        queries.append(
            ((LOTS_OF_PURCHASES, [purchases, purchases]), lambda rows: load_lots(ledger.accounts, rows))
        )
        queries.append(((WRITTEN_OFF, [purchases]), lambda rows: load_written_off(ledger.accounts, rows)))
    if rising:
        assert since
        ledger.paid_from = since + timedelta(days=settings.TURNOVER_WINDOW_DAYS)
        queries.append(((PAID, [list(rising), since]), lambda rows: _load_paid(ledger, rising, rows)))
    found = read(*[query for query, _ in queries], *also)
    for (_, use), rows in zip(queries, found, strict=False):
        use(rows)
    return found[len(queries) :]


def _load_live(ledger: Ledger, members: Iterable[UUID], rows: Rows) -> None:
    load_lots(ledger.accounts, rows)
    for pk in members:
        if pk in ledger.accounts:
            ledger.accounts[pk].has_live_lots = True


def _load_held(ledger: Ledger, rows: Rows) -> None:
    for member_id, hold_id, amount in rows:
        if member_id in ledger.accounts:
            ledger.accounts[member_id].held[hold_id] = amount


def _load_paid(ledger: Ledger, members: Collection[UUID], rows: Rows) -> None:
    for pk, paid in load_paid(members, rows).items():
        if account := ledger.accounts.get(pk):
            account.paid = paid
