"""What the product has stored of a world's members, read back for comparison."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal as D
from typing import Any
from uuid import UUID

from django.db import connection

BALANCES = """
    SELECT u.id, t.level, u.tier_valid_until, coalesce(b.balance, 0), coalesce(b.pending, 0),
        coalesce(b.debt, 0), coalesce(b.entries, 0), coalesce(e.count, 0), coalesce(e.sum, 0),
        coalesce(e.debt, 0), coalesce(e.written_off, 0), coalesce(last.total_after, 0),
        coalesce(last.debt_after, 0), coalesce(l.sum, 0)
    FROM users u JOIN status_tiers t ON t.id = u.status_tier LEFT JOIN bonuses b ON b.user_id = u.id
    LEFT JOIN LATERAL (
        SELECT count(*), sum(amount) FILTER (WHERE kind NOT IN ('debt', 'write_off')),
            -sum(CASE kind WHEN 'debt' THEN amount WHEN 'debt_repayment' THEN -amount END) AS debt,
            -sum(amount) FILTER (WHERE kind = 'write_off') AS written_off
        FROM bonus_entries WHERE user_id = u.id
    ) e ON true
    LEFT JOIN LATERAL (
        SELECT total_after, debt_after FROM bonus_entries WHERE user_id = u.id ORDER BY position DESC LIMIT 1
    ) last ON true
    LEFT JOIN LATERAL (SELECT sum(remaining) FROM bonus_lots WHERE user_id = u.id) l ON true
    WHERE u.id = ANY(%s)
"""
LOTS = """
    SELECT l.user_id, t.external_id, l.kind, l.accrued, l.remaining, l.available_from, l.expires_at,
        (SELECT sum(amount) FROM bonus_entries e
         WHERE e.lot_id = l.id AND e.kind NOT IN ('debt', 'write_off'))
    FROM bonus_lots l JOIN transactions t ON t.id = l.transaction_id WHERE l.user_id = ANY(%s)
"""
PURCHASES = """
    SELECT p.external_id, p.amount, p.coupon_discount, p.bonus_redeemed, p.bonus_accrued,
        sum(t.amount), sum(t.coupon_discount), sum(t.bonus_redeemed), sum(t.bonus_accrued)
    FROM transactions p JOIN transactions t ON p.id IN (t.id, t.refund_of)
    WHERE p.user_id = ANY(%s) AND p.kind = 'purchase' GROUP BY p.id
"""
COUPONS = "SELECT code, status, valid_until FROM coupons WHERE user_id = ANY(%s)"
HAPPENED = """
    SELECT kind || CASE WHEN kind = 'write_off' AND amount > 0 THEN ' made good' ELSE '' END, count(*)
        FROM bonus_entries WHERE user_id = ANY(%(members)s) GROUP BY 1
    UNION ALL SELECT 'tier ' || reason || ' ' || sign(to_level - from_level), count(*) FROM tier_changes
        WHERE user_id = ANY(%(members)s) GROUP BY 1
    UNION ALL SELECT 'invitation ' || status, count(*) FROM referrals
        WHERE newcomer_id = ANY(%(members)s) GROUP BY 1
"""
OFFERS = "SELECT title, uses_count, bonuses_given, discount_given FROM offer_constructor"
PARKED = "SELECT count(*) FROM parked_refunds WHERE user_id = ANY(%s)"


def rows(sql: str, members: Sequence[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(members)])
        return cursor.fetchall()


def offers() -> dict[str, tuple[int, D, D]]:
    """Return how often each offer was used, and what it gave and took off."""
    with connection.cursor() as cursor:
        cursor.execute(OFFERS)
        return {title: (uses, given, off) for title, uses, given, off in cursor.fetchall()}


def happened(members: Sequence[UUID]) -> Counter[str]:
    """Count entries by kind, moves of tiers and what became of invitations."""
    with connection.cursor() as cursor:
        cursor.execute(HAPPENED, {"members": list(members)})
        return Counter(dict(cursor.fetchall()))


def check_foreign_keys() -> None:
    """Have deferred constraints checked now and not at a commit that never comes."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def balances(members: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return each member's figures, having checked that balance, entries, chain and lots agree."""
    found = {}
    for row in rows(BALANCES, members):
        member_id, level, until, balance, pending, debt = row[:6]
        entries, counted, entered, entered_debt, written_off, total_after, debt_after, left = row[6:]
        assert balance + pending == entered == total_after == left, row
        assert debt == entered_debt == debt_after, row
        assert entries == counted, row
        found[member_id] = {"level": level, "holds_until": until, "debt": debt, "written_off": written_off}
    return found


def lots(members: Sequence[UUID]) -> dict[tuple[UUID, str, str], tuple[Any, ...]]:
    """Return accrued, left, from and until of each lot by member, purchase and kind."""
    found = {}
    for member_id, purchase, kind, accrued, left, available_from, until, entered in rows(LOTS, members):
        assert left == entered, (purchase, kind, left, entered)
        found[member_id, purchase, kind] = accrued, left, available_from, until
    return found


def purchases(members: Sequence[UUID]) -> dict[str, tuple[list[D], list[D]]]:
    """Return sums of each purchase as bought, and what its refunds have left of them."""
    return {row[0]: (list(row[1:5]), list(row[5:])) for row in rows(PURCHASES, members)}
