"""Movements of bonuses written as the ledger writes them, in one statement, with none of its rules."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from loyalty.models import BonusEntry, Business, Member
from svoykrug.db.models import uuid7
from tests.factories import NOON

Kind = BonusEntry.Kind
D = Decimal

WRITE = """
    WITH lots AS (
        INSERT INTO bonus_lots (id, created_at, user_id, issuer_id, transaction_id, kind, accrued, remaining,
            available_from, expires_at)
        SELECT id, created_at, user_id, issuer_id, transaction_id, kind, accrued, remaining, available_from,
            expires_at
        FROM jsonb_populate_recordset(NULL::bonus_lots, %(opened)s)
    ), moved AS (
        UPDATE bonus_lots l SET remaining = m.remaining, expires_at = m.expires_at
        FROM jsonb_populate_recordset(NULL::bonus_lots, %(moved)s) m WHERE l.id = m.id
    ), balances AS (
        INSERT INTO bonuses (id, created_at, updated_at, user_id, balance, pending, debt, entries, expires_at,
            turnover_bound)
        SELECT id, created_at, created_at, user_id, balance, 0, debt, entries, expires_at, 0
        FROM jsonb_populate_recordset(NULL::bonuses, %(balances)s)
        ON CONFLICT (user_id) DO UPDATE SET balance = EXCLUDED.balance, debt = EXCLUDED.debt,
            entries = EXCLUDED.entries, expires_at = EXCLUDED.expires_at
    )
    INSERT INTO bonus_entries (id, created_at, recorded_at, lot_id, user_id, kind, amount, position,
        total_after, debt_after, transaction_id, honoured_by)
    SELECT id, created_at, created_at, lot_id, user_id, kind, amount, position, total_after, debt_after,
        transaction_id, honoured_by
    FROM jsonb_populate_recordset(NULL::bonus_entries, %(entries)s)
"""


class Book:
    """The bonuses of one member: what is stored, and what the next `write` will add."""

    def __init__(self, member: Member, business: Business) -> None:
        self.member, self.business = member, business
        self.position, self.total, self.debt = 0, D(0), D(0)
        self.lots: dict[UUID, dict[str, Any]] = {}
        self.opened: list[dict[str, Any]] = []
        self.moved: dict[UUID, dict[str, Any]] = {}
        self.entries: list[dict[str, Any]] = []

    def accrue(self, amount: str, *, purchase: Any = None, at: datetime = NOON, **terms: Any) -> UUID:
        """Open a lot that lives a year, unless `terms`, columns of the lot, say otherwise; returns its id."""
        lot = {
            "id": uuid7(), "created_at": at, "user_id": self.member.pk, "issuer_id": self.business.pk,
            "transaction_id": purchase and purchase.pk, "kind": "purchase", "accrued": D(amount),
            "remaining": D(0), "available_from": at, "expires_at": at + timedelta(days=365),
        } | terms  # fmt: skip
        self.lots[lot["id"]] = lot
        self.opened.append(lot)
        self.enter(Kind.ACCRUAL, amount, lot["id"], purchase=purchase, at=at)
        return lot["id"]

    def enter(
        self, kind: str, amount: str, lot: UUID, *, purchase: Any = None, at: datetime = NOON
    ) -> dict[str, Any]:
        """Add an entry to that lot; returns its row."""
        change = D(amount)
        if kind == Kind.DEBT:
            self.debt -= change
        elif kind == Kind.DEBT_REPAYMENT:
            self.debt += change
        if kind not in BonusEntry.MEMO_KINDS:
            self.total += change
            self.lots[lot]["remaining"] += change
            if self.lots[lot] not in self.opened:
                self.moved[lot] = self.lots[lot]
        self.position += 1
        spends = kind in (Kind.REDEMPTION, Kind.RESTORATION)
        entry = {
            "id": uuid7(), "created_at": at, "lot_id": lot, "user_id": self.member.pk, "kind": str(kind),
            "amount": change, "position": self.position, "total_after": self.total,
            "debt_after": self.debt, "transaction_id": purchase and purchase.pk,
            "honoured_by": self.business.pk if spends else None,
        }  # fmt: skip
        self.entries.append(entry)
        return entry

    def balance(self) -> dict[str, Any]:
        left = [lot["expires_at"] for lot in self.lots.values() if lot["remaining"]]
        return {
            "id": uuid7(), "created_at": NOON, "user_id": self.member.pk, "balance": self.total,
            "debt": self.debt, "entries": self.position, "expires_at": min(left, default=None),
        }  # fmt: skip

    def write(self) -> None:
        write([self])


def write(books: Iterable[Book]) -> None:
    """Store what was entered into the books, all by one statement."""
    books = list(books)
    rows = {
        "opened": [lot for book in books for lot in book.opened],
        "moved": [lot for book in books for lot in book.moved.values()],
        "entries": [entry for book in books for entry in book.entries],
        "balances": [book.balance() for book in books],
    }
    execute(rows)
    for book in books:
        book.opened, book.moved, book.entries = [], {}, []


def execute(rows: dict[str, list[dict[str, Any]]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(WRITE, {name: json.dumps(values, default=str) for name, values in rows.items()})
