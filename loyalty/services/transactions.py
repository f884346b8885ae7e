"""Stored purchases and refunds: found by receipt, inserted by set, parked when they come too early."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from loyalty.models import ParkedRefund
from svoykrug.db.bulk import insert_rows
from svoykrug.money import ZERO

# A receipt: business and external id, unique together.
Receipt = tuple[UUID, str]


class NewTransaction(NamedTuple):
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
    lines: str | None
    external_id: str | None
    request_hash: str
    source: str
    explanation: str
    created_at: datetime
    recorded_at: datetime


@dataclass(slots=True)
class StoredTransaction:
    """What later requests of the same receipt, and refunds, need to know of a stored row.

    refunded, discount_returned, taken_back  totals of its refunds so far, zero or more
    """

    id: UUID
    member_id: UUID
    kind: str
    refund_of: UUID | None
    coupon_id: UUID | None
    amount: Decimal
    coupon_discount: Decimal
    bonus_accrued: Decimal
    category: str
    lines: Any
    request_hash: str
    created_at: datetime
    refunded: Decimal = ZERO
    discount_returned: Decimal = ZERO
    taken_back: Decimal = ZERO


def insert_transactions(rows: list[NewTransaction]) -> None:
    """Store new purchases and refunds."""
    insert_rows("transactions", NewTransaction._fields, rows)


def stored_by_receipt(receipts: Collection[Receipt]) -> dict[Receipt, StoredTransaction]:
    """Return the stored purchases and refunds of these receipts."""
    if not receipts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.business_id, t.external_id, t.id, t.user_id, t.kind, t.refund_of, t.coupon_id, t.amount,
                   t.coupon_discount, t.bonus_accrued, t.category, t.lines, t.request_hash, t.created_at
            FROM unnest(%s::uuid[], %s::text[]) AS r(business_id, external_id)
            JOIN transactions t USING (business_id, external_id)
            """,
            [[business for business, _ in receipts], [external_id for _, external_id in receipts]],
        )
        return {(row[0], row[1]): StoredTransaction(*row[2:]) for row in cursor.fetchall()}


def load_refund_totals(purchases: Collection[StoredTransaction]) -> None:
    """Fill in what earlier refunds of these purchases gave and took back."""
    by_id = {purchase.id: purchase for purchase in purchases}
    if not by_id:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT refund_of, -sum(amount), -sum(coupon_discount), -sum(bonus_accrued)
            FROM transactions WHERE refund_of = ANY(%s) GROUP BY refund_of
            """,
            [list(by_id)],
        )
        for purchase_id, *totals in cursor.fetchall():
            purchase = by_id[purchase_id]
            purchase.refunded, purchase.discount_returned, purchase.taken_back = totals


def parked_refunds(
    *, receipts: Collection[Receipt], purchases: Collection[Receipt]
) -> tuple[dict[Receipt, ParkedRefund], dict[Receipt, list[ParkedRefund]]]:
    """Return parked refunds by their own receipt, and those that wait for one of these purchases."""
    found = _parked("external_id", receipts)
    waiting: dict[Receipt, list[ParkedRefund]] = {}
    for refund in _parked("refund_of", purchases):
        waiting.setdefault((refund.business_id, refund.refund_of), []).append(refund)
    return {(refund.business_id, refund.external_id): refund for refund in found}, waiting


def _parked(column: str, receipts: Collection[Receipt]) -> list[ParkedRefund]:
    if not receipts:
        return []
    return list(
        ParkedRefund.objects.raw(
            f"""
            SELECT p.* FROM unnest(%s::uuid[], %s::text[]) AS r(business_id, {column})
            JOIN parked_refunds p USING (business_id, {column}) ORDER BY p.purchased_at, p.id
            """,  # noqa: S608  the column is one of two names above
            [[business for business, _ in receipts], [external_id for _, external_id in receipts]],
        )
    )
