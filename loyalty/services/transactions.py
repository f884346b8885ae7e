"""Stored purchases and refunds: found by receipt, inserted by set, parked when they come too early."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from loyalty.models import ParkedRefund, Transaction
from svoykrug.db.sql import Rows, Write, as_jsonb, read
from svoykrug.money import ZERO

# A receipt: business and external id, unique together.
Receipt = tuple[UUID, str]


@dataclass(slots=True)
class NewTransaction:
    """A row of `transactions`; field names are its columns."""

    id: UUID
    user_id: UUID
    business_id: UUID
    coupon_id: UUID | None
    kind: str
    refund_of: UUID | None
    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    bonus_accrued: Decimal
    category: str
    lines: list[dict[str, Any]] | None
    external_id: str | None
    request_hash: str
    source: str
    explanation: dict[str, Any]
    created_at: datetime
    recorded_at: datetime

    @property
    def amount_paid(self) -> Decimal:
        return self.amount - self.coupon_discount - self.bonus_redeemed

    def as_stored(self) -> Transaction:
        """Return the row just as the database would give it back."""
        values = {name: getattr(self, name) for name in COLUMNS}
        values["member_id"] = values.pop("user_id")
        values["refund_of_id"] = values.pop("refund_of")
        transaction = Transaction(**values | {"explanation": as_jsonb(values["explanation"])})
        transaction.amount_paid = self.amount_paid
        transaction._state.adding, transaction._state.db = False, "default"
        return transaction


COLUMNS = {
    "id": "uuid", "user_id": "uuid", "business_id": "uuid", "coupon_id": "uuid", "kind": "text",
    "refund_of": "uuid", "amount": "numeric", "coupon_discount": "numeric", "bonus_redeemed": "numeric",
    "bonus_accrued": "numeric", "category": "text", "lines": "jsonb", "external_id": "text",
    "request_hash": "text", "source": "text", "explanation": "jsonb", "created_at": "timestamptz",
    "recorded_at": "timestamptz",
}  # fmt: skip
# By receipt number: IS TRUE keeps the planner from the index of businesses, which seems to it as good
# where the table has grown since it was analysed. By that one 1,000 receipts among 30,000 took 1.7 s.
BY_RECEIPT = """
    SELECT t.business_id, t.external_id, t.id, t.user_id, t.kind, t.refund_of, t.coupon_id, t.amount,
           t.coupon_discount, t.bonus_redeemed, t.bonus_accrued, t.category, t.lines, t.request_hash,
           t.created_at
    FROM unnest(%s::uuid[], %s::text[]) AS r(business_id, external_id),
    LATERAL (
        SELECT * FROM transactions t
        WHERE t.external_id = r.external_id AND (t.business_id = r.business_id) IS TRUE LIMIT 1
    ) t
"""
REFUND_TOTALS = """
    SELECT refund_of, -sum(amount), -sum(coupon_discount), -sum(bonus_redeemed), -sum(bonus_accrued),
           sum((explanation->'refund'->>'expired')::numeric)
    FROM transactions WHERE refund_of = ANY(%s::uuid[]) GROUP BY refund_of
"""
# Of each purchase, newest spend first: the lot, what of it earlier refunds have not returned, and
# where in the chain it was spent.
SPENT = """
    SELECT spent.transaction_id, spent.lot_id, -spent.amount - coalesce((
        SELECT sum(back.amount) FROM transactions refund
        JOIN bonus_entries back ON back.transaction_id = refund.id AND back.kind = 'restoration'
        WHERE refund.refund_of = spent.transaction_id AND back.lot_id = spent.lot_id
    ), 0), spent.position
    FROM bonus_entries spent
    WHERE spent.transaction_id = ANY(%s::uuid[]) AND spent.kind = 'redemption'
    ORDER BY spent.position DESC
"""
# What of each purchase's own bonuses lapsed unspent.
EXPIRED = """
    SELECT lot.transaction_id, -sum(entry.amount) FROM bonus_lots lot
    JOIN bonus_entries entry ON entry.lot_id = lot.id AND entry.kind = 'expiry'
    WHERE lot.transaction_id = ANY(%s::uuid[]) AND lot.kind = 'purchase' GROUP BY lot.transaction_id
"""
LINES = """
    SELECT id, NULL, explanation->'lines' FROM transactions WHERE id = ANY(%s::uuid[])
    UNION ALL SELECT refund_of, id, explanation->'lines' FROM transactions WHERE refund_of = ANY(%s::uuid[])
"""


@dataclass(slots=True)
class StoredTransaction:
    """What later requests of the same receipt, and refunds, need to know of a stored row.

    refunded, discount_returned, restored, taken_back  totals of its refunds so far, zero or more
    expired   of its bonuses, what lapsed unspent and no refund has counted yet
    spent     lots and bonuses that paid for it and have not returned, newest spend first
    spent_at  how many entries the member had when those were spent
    shares    its lines as they were settled; refunded_lines  what its refunds took of them
    """

    id: UUID
    member_id: UUID
    kind: str
    refund_of: UUID | None
    coupon_id: UUID | None
    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    bonus_accrued: Decimal
    category: str
    lines: Any
    request_hash: str
    created_at: datetime
    refunded: Decimal = ZERO
    discount_returned: Decimal = ZERO
    restored: Decimal = ZERO
    taken_back: Decimal = ZERO
    expired: Decimal = ZERO
    spent: list[tuple[UUID, Decimal]] = field(default_factory=list)
    spent_at: int = 0
    shares: list[dict[str, Any]] | None = None
    refunded_lines: list[dict[str, Any]] = field(default_factory=list)


def by_receipt(receipts: Collection[Receipt]) -> tuple[str, list[Any]]:
    """Return the query for stored purchases and refunds of these receipts; see `stored`."""
    return BY_RECEIPT, [[business for business, _ in receipts], [external for _, external in receipts]]


def stored(rows: Rows) -> dict[Receipt, StoredTransaction]:
    found = {(row[0], row[1]): StoredTransaction(*row[2:]) for row in rows}
    for transaction in found.values():
        transaction.lines = _json(transaction.lines)
    return found


def _json(text: str | None) -> Any:
    """Read a column of JSON: a plain cursor of Django's gives its text."""
    return None if text is None else json.loads(text)


def stored_by_receipt(receipts: Collection[Receipt]) -> dict[Receipt, StoredTransaction]:
    """Return the stored purchases and refunds of these receipts."""
    return stored(read(by_receipt(receipts))[0]) if receipts else {}


def refund_queries(purchase_ids: list[UUID]) -> list[tuple[str, list[Any]]]:
    """Return what refunds of these purchases need to read; see `load_refunds`."""
    return [
        (REFUND_TOTALS, [purchase_ids]),
        (SPENT, [purchase_ids]),
        (EXPIRED, [purchase_ids]),
        (LINES, [purchase_ids, purchase_ids]),
    ]


def load_refunds(purchases: Collection[StoredTransaction], found: list[Rows]) -> None:
    """Fill in what earlier refunds of these purchases gave and took back, and what is left."""
    by_id = {purchase.id: purchase for purchase in purchases}
    totals, spent, expired, lines = found
    for purchase_id, sum_ in expired:
        by_id[purchase_id].expired = sum_
    for purchase_id, refunded, discount, restored, taken_back, counted in totals:
        purchase = by_id[purchase_id]
        purchase.refunded, purchase.discount_returned = refunded, discount
        purchase.restored, purchase.taken_back = restored, taken_back
        purchase.expired -= counted or ZERO
    for purchase_id, lot_id, left, position in spent:
        purchase = by_id[purchase_id]
        purchase.spent.append((lot_id, left))
        purchase.spent_at = max(purchase.spent_at, position)
    for purchase_id, refund_id, rows in lines:
        if refund_id is None:
            by_id[purchase_id].shares = _json(rows)
        else:
            by_id[purchase_id].refunded_lines += _json(rows) or []


def insert_transactions(write: Write, rows: list[NewTransaction]) -> None:
    """Add new purchases and refunds to a statement."""
    write.insert("transactions", COLUMNS, rows)


PARKED = """
    SELECT id, business_id, user_id, external_id, refund_of, amount, purchased_at, category, request_hash,
           source, created_at
    FROM parked_refunds
    WHERE business_id = ANY(%s::uuid[]) AND (external_id = ANY(%s) OR refund_of = ANY(%s))
    ORDER BY purchased_at, id
"""
PARKED_COLUMNS = (
    "id", "business_id", "member_id", "external_id", "refund_of", "amount", "purchased_at", "category",
    "request_hash", "source", "created_at",
)  # fmt: skip


def parked_refunds(rows: Rows) -> list[ParkedRefund]:
    return [ParkedRefund(**dict(zip(PARKED_COLUMNS, row, strict=True))) for row in rows]


def parked_query(receipts: Collection[Receipt]) -> tuple[str, list[Any]]:
    """Return the query for parked refunds with one of these receipts as their own or their purchase's."""
    businesses, external = list({business for business, _ in receipts}), list({text for _, text in receipts})
    return PARKED, [businesses, external, external]
