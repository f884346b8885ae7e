"""What a ledger's decisions look like in the tables: rows of one writing statement."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from loyalty.rules import Lot
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write, as_array
from svoykrug.money import ZERO

if TYPE_CHECKING:
    from .ledger import Ledger

LOTS = {
    "id": "uuid", "created_at": "timestamptz", "user_id": "uuid", "issuer_id": "uuid",
    "transaction_id": "uuid", "kind": "text", "accrued": "numeric", "remaining": "numeric",
    "available_from": "timestamptz", "expires_at": "timestamptz",
}  # fmt: skip
MOVED_LOTS = {"id": "uuid", "change": "numeric", "expires_at": "timestamptz"}
ENTRIES = {
    "id": "uuid", "created_at": "timestamptz", "lot_id": "uuid", "user_id": "uuid", "kind": "text",
    "amount": "numeric", "transaction_id": "uuid", "honoured_by": "uuid", "recorded_at": "timestamptz",
    "position": "integer", "total_after": "numeric", "debt_after": "numeric",
}  # fmt: skip
BALANCES = {
    "id": "uuid", "at": "timestamptz", "user_id": "uuid", "balance": "numeric", "pending": "numeric",
    "debt": "numeric", "entries": "integer", "turnover_bound": "numeric", "turnover_as_of": "timestamptz",
    "soonest": "timestamptz", "kept": "boolean", "moved": "uuid[]",
}  # fmt: skip
TIER_CHANGES = {
    "id": "uuid", "created_at": "timestamptz", "user_id": "uuid", "from_level": "smallint",
    "to_level": "smallint", "reason": "text", "turnover_rub": "numeric", "transaction_id": "uuid",
}  # fmt: skip
RISEN = {"user_id": "uuid", "tier_id": "uuid", "until": "timestamptz", "recorded_at": "timestamptz"}

# A difference and not a plain number: were a lock ever forgotten, the check constraint refuses
# the second taking instead of losing it.
MOVE_LOTS = """
    UPDATE bonus_lots SET remaining = remaining + r.change, expires_at = r.expires_at
    FROM {rows} WHERE bonus_lots.id = r.id
"""
# The statement sees the lots as they were before it, so those it moves are told by `soonest`. Where
# none moves, what was soonest stays so, unless a new lot is sooner.
STORE_BALANCES = """
    INSERT INTO bonuses (id, created_at, updated_at, user_id, balance, pending, debt, entries,
                         turnover_bound, turnover_as_of, expires_at)
    SELECT id, at, at, user_id, balance, pending, debt, entries, turnover_bound, turnover_as_of,
        CASE WHEN kept THEN soonest ELSE LEAST(soonest, (
            SELECT min(l.expires_at) FROM bonus_lots l
            WHERE l.user_id = r.user_id AND l.remaining > 0 AND l.id <> ALL (r.moved)
        )) END
    FROM {rows}
    ON CONFLICT (user_id) DO UPDATE SET
        updated_at = EXCLUDED.updated_at, balance = EXCLUDED.balance, pending = EXCLUDED.pending,
        debt = EXCLUDED.debt, entries = EXCLUDED.entries, turnover_bound = EXCLUDED.turnover_bound,
        turnover_as_of = EXCLUDED.turnover_as_of, expires_at = EXCLUDED.expires_at
"""
RAISE_TIERS = """
    UPDATE users SET status_tier = r.tier_id, tier_valid_until = r.until, updated_at = r.recorded_at
    FROM {rows} WHERE users.id = r.user_id
"""


def write_movements(ledger: "Ledger", write: Write) -> None:
    """Add lots, balances and entries of the ledger to the statement."""
    write.insert("bonus_lots", LOTS, [_lot(ledger, lot) for lot in ledger.opened])
    moved = [
        {"id": lot.id, "change": lot.remaining - (lot.before or ZERO), "expires_at": lot.expires_at}
        for lot in ledger.moved
    ]
    write.add(MOVE_LOTS, MOVED_LOTS, moved)
    write.add(STORE_BALANCES, BALANCES, _balances(ledger))
    write.insert("bonus_entries", ENTRIES, ledger.entries)


def write_tiers(changes: list[dict[str, Any]], write: Write) -> None:
    """Add rises and what they make of the members to the statement."""
    write.insert("tier_changes", TIER_CHANGES, changes)
    # Of several rises in one call the last one counts.
    risen = {change["user_id"]: change for change in changes}
    write.add(RAISE_TIERS, RISEN, list(risen.values()))


def _lot(ledger: "Ledger", lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.id, "created_at": ledger.recorded_at, "user_id": lot.member_id, "issuer_id": lot.issuer_id,
        "transaction_id": lot.transaction_id, "kind": str(lot.kind), "accrued": lot.accrued,
        "remaining": lot.remaining, "available_from": lot.available_from, "expires_at": lot.expires_at,
    }  # fmt: skip


def _balances(ledger: "Ledger") -> list[dict[str, Any]]:
    moved: dict[UUID, list[UUID]] = {}
    for lot in ledger.moved:
        moved.setdefault(lot.member_id, []).append(lot.id)
    soonest = {
        pk: account.expires_at
        for pk, account in ledger.touched.items()
        if account.expires_at and account.expires_at > ledger.recorded_at and pk not in moved
    }
    kept = set(soonest)
    for lot in (*ledger.opened, *ledger.moved):
        known = soonest.get(lot.member_id)
        if lot.remaining and (known is None or lot.expires_at < known):
            soonest[lot.member_id] = lot.expires_at
    for pk, account in ledger.touched.items():
        # A later statement must not take for known what only this one finds out.
        account.expires_at = soonest[pk] if pk in kept else None
    return [
        {
            "id": uuid7(), "at": ledger.recorded_at, "user_id": pk, "balance": account.balance,
            "pending": account.pending, "debt": account.debt, "entries": account.entries,
            "turnover_bound": account.turnover_bound, "turnover_as_of": account.turnover_as_of,
            "soonest": soonest.get(pk), "kept": pk in kept, "moved": as_array(moved.get(pk, ())),
        }
        for pk, account in ledger.touched.items()
    ]  # fmt: skip
