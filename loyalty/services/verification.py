"""The audit of everything that money is kept in: each rule of the ledger asked of every row.

The triggers of loyalty/models/truth.py refuse what breaks the rules. This finds what came past
them: a disabled trigger, a superuser, a damaged disk, an error in the rules themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from django.db import connection
from django.db.transaction import atomic
from psycopg import IsolationLevel


@dataclass(frozen=True, slots=True)
class Check:
    """One rule.

    rows  SQL of every row it holds for: `id`, `user_id` and `wrong`, which is NULL or tells the
          column, what is expected and what is found. May name the moment of the audit, %(at)s
    """

    rule: str
    table: str
    rows: str


@dataclass(frozen=True, slots=True)
class Wrong:
    row_id: str | None
    member_id: str | None
    what: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. `first` is the wrong row that was recorded first."""

    check: Check
    rows: int
    wrong: int
    first: Wrong | None
    seconds: float


# Purchases and refunds with the sums of their own entries; an inviter's are another member's.
TOTALS = """
    SELECT t.*, coalesce(e.accrued, 0) AS accrued_by_entries, coalesce(e.spent, 0) AS spent_by_entries,
        coalesce(e.restored, 0) AS restored_by_entries, coalesce(e.taken, 0) AS taken_by_entries
    FROM transactions t LEFT JOIN (
        SELECT e.transaction_id, e.user_id,
            sum(e.amount) FILTER (WHERE e.kind = 'accrual' AND l.kind = 'purchase') AS accrued,
            -sum(e.amount) FILTER (WHERE e.kind = 'redemption') AS spent,
            sum(e.amount) FILTER (WHERE e.kind = 'restoration') AS restored,
            -sum(e.amount) FILTER (WHERE e.kind IN ('reversal', 'debt', 'write_off')) AS taken
        FROM bonus_entries e JOIN bonus_lots l ON l.id = e.lot_id
        WHERE e.transaction_id IS NOT NULL GROUP BY e.transaction_id, e.user_id
    ) e ON e.transaction_id = t.id AND e.user_id = t.user_id
"""

CHECKS = (
    Check(
        "each entry continues from the one before it",
        "bonus_entries",
        """
        SELECT id, user_id, CASE
            WHEN position <> place THEN format('position: expected %%s, found %%s', place, position)
            WHEN total_after <> total THEN format('total_after: expected %%s, found %%s', total, total_after)
            WHEN debt_after <> debt THEN format('debt_after: expected %%s, found %%s', debt, debt_after)
        END AS wrong
        FROM (
            SELECT id, user_id, position, total_after, debt_after, row_number() OVER chain AS place,
                coalesce(lag(total_after) OVER chain, 0)
                    + CASE WHEN kind IN ('debt', 'write_off') THEN 0 ELSE amount END AS total,
                coalesce(lag(debt_after) OVER chain, 0) + CASE kind
                    WHEN 'debt' THEN -amount WHEN 'debt_repayment' THEN amount ELSE 0 END AS debt
            FROM bonus_entries WINDOW chain AS (PARTITION BY user_id ORDER BY position)
        ) e
        """,
    ),
    Check(
        "each balance is what the member's last entry says",
        "bonuses",
        """
        SELECT b.id, user_id, CASE
            WHEN b.id IS NULL THEN format('entries: expected %%s, found no balance', e.position)
            WHEN entries <> coalesce(position, 0)
            THEN format('entries: expected %%s, found %%s', coalesce(position, 0), entries)
            WHEN balance + pending <> coalesce(total_after, 0)
            THEN format('balance + pending: expected %%s, found %%s',
                coalesce(total_after, 0), balance + pending)
            WHEN debt <> coalesce(debt_after, 0)
            THEN format('debt: expected %%s, found %%s', coalesce(debt_after, 0), debt)
        END AS wrong
        FROM bonuses b FULL JOIN (
            SELECT DISTINCT ON (user_id) user_id, position, total_after, debt_after
            FROM bonus_entries ORDER BY user_id, position DESC
        ) e USING (user_id)
        """,
    ),
    Check(
        "all balances together are all entries together",
        "bonuses",
        """
        SELECT NULL::uuid AS id, NULL::uuid AS user_id, CASE WHEN e.total <> b.total
            THEN format('sum of balance + pending: expected %%s, found %%s', e.total, b.total) END AS wrong
        FROM (
                SELECT coalesce(sum(amount), 0) AS total FROM bonus_entries
                WHERE kind NOT IN ('debt', 'write_off')
            ) e, (SELECT coalesce(sum(balance + pending), 0) AS total FROM bonuses) b
        """,
    ),
    Check(
        "no lot expires before its member's balance knows",
        "bonuses",
        """
        SELECT b.id, user_id, CASE WHEN b.expires_at IS NULL OR b.expires_at > l.expires_at
            THEN format('expires_at: expected %%s or sooner, found %%s', l.expires_at,
                coalesce(b.expires_at::text, 'none')) END AS wrong
        FROM (
            SELECT user_id, min(expires_at) AS expires_at FROM bonus_lots WHERE remaining > 0 GROUP BY user_id
        ) l LEFT JOIN bonuses b USING (user_id)
        """,
    ),
    Check(
        "what is left of each lot is the sum of its entries",
        "bonus_lots",
        """
        SELECT id, user_id, CASE
            WHEN remaining <> coalesce(e.left_over, 0)
            THEN format('remaining: expected %%s, found %%s', coalesce(e.left_over, 0), remaining)
            WHEN accrued <> coalesce(e.opened, 0)
            THEN format('accrued: expected %%s, found %%s', coalesce(e.opened, 0), accrued)
            WHEN remaining NOT BETWEEN 0 AND accrued
            THEN format('remaining: expected 0 to %%s, found %%s', accrued, remaining)
        END AS wrong
        FROM bonus_lots l LEFT JOIN (
            SELECT lot_id, sum(amount) FILTER (WHERE kind NOT IN ('debt', 'write_off')) AS left_over,
                sum(amount) FILTER (WHERE kind = 'accrual') AS opened
            FROM bonus_entries GROUP BY lot_id
        ) e ON e.lot_id = l.id
        """,
    ),
    Check(
        "each entry is on a lot of its own member",
        "bonus_entries",
        """
        SELECT e.id, e.user_id, CASE WHEN l.user_id IS DISTINCT FROM e.user_id
            THEN format('user_id: expected %%s, found %%s', coalesce(l.user_id::text, 'a lot'), e.user_id)
        END AS wrong
        FROM bonus_entries e LEFT JOIN bonus_lots l ON l.id = e.lot_id
        """,
    ),
    Check(
        "each purchase accrued and spent what its entries say",
        "transactions",
        f"""
        SELECT id, user_id, CASE
            WHEN bonus_accrued <> accrued_by_entries
            THEN format('bonus_accrued: expected %%s, found %%s', accrued_by_entries, bonus_accrued)
            WHEN bonus_redeemed <> spent_by_entries
            THEN format('bonus_redeemed: expected %%s, found %%s', spent_by_entries, bonus_redeemed)
        END AS wrong
        FROM ({TOTALS}) t WHERE kind = 'purchase'
        """,  # noqa: S608
    ),
    Check(
        "each refund restored and took back what its entries say",
        "transactions",
        # What had expired by then counts as taken back, though nothing was left to take. The gift of
        # an invitation is taken back beside what the purchase had brought.
        f"""
        SELECT id, user_id, CASE
            WHEN -bonus_redeemed <> restored_by_entries
            THEN format('bonus_redeemed: expected %%s, found %%s', -restored_by_entries, bonus_redeemed)
            WHEN -bonus_accrued <> taken_by_entries + expired - gift
            THEN format('bonus_accrued: expected %%s, found %%s',
                gift - taken_by_entries - expired, bonus_accrued)
        END AS wrong
        FROM ({TOTALS}) t CROSS JOIN LATERAL (
            SELECT coalesce((explanation #>> '{{refund,expired}}')::numeric, 0) AS expired, coalesce((
                SELECT -sum((r->>'effect')::numeric) FROM jsonb_array_elements(explanation->'rules') r
                WHERE r->>'rule' = 'referral'
            ), 0) AS gift
        ) x WHERE kind = 'refund'
        """,  # noqa: S608
    ),
    Check(
        "no purchase is refunded beyond what it was",
        "transactions",
        """
        SELECT p.id, p.user_id, CASE
            WHEN r.strangers > 0 THEN format('refunds by another member or business: expected 0, found %%s',
                r.strangers)
            WHEN -r.amount > p.amount
            THEN format('refunded amount: expected %%s at most, found %%s', p.amount, -r.amount)
            WHEN -r.coupon_discount > p.coupon_discount
            THEN format('refunded coupon_discount: expected %%s at most, found %%s',
                p.coupon_discount, -r.coupon_discount)
            WHEN -r.bonus_redeemed > p.bonus_redeemed
            THEN format('refunded bonus_redeemed: expected %%s at most, found %%s',
                p.bonus_redeemed, -r.bonus_redeemed)
            WHEN -r.bonus_accrued > p.bonus_accrued
            THEN format('refunded bonus_accrued: expected %%s at most, found %%s',
                p.bonus_accrued, -r.bonus_accrued)
        END AS wrong
        FROM transactions p JOIN LATERAL (
            SELECT sum(amount) AS amount, sum(coupon_discount) AS coupon_discount,
                sum(bonus_redeemed) AS bonus_redeemed, sum(bonus_accrued) AS bonus_accrued,
                count(*) FILTER (WHERE (user_id, business_id) <> (p.user_id, p.business_id)) AS strangers
            FROM transactions WHERE refund_of = p.id
        ) r ON true
        WHERE p.id IN (SELECT refund_of FROM transactions)
        """,
    ),
    Check(
        "each coupon is redeemed in one purchase that stands, or in none",
        "coupons",
        # A purchase that was refunded in full has freed its coupon.
        """
        SELECT c.id, c.user_id, CASE
            WHEN (c.status = 'redeemed')::int <> coalesce(t.standing, 0)
            THEN format('%%s: expected %%s purchase, found %%s', c.status, (c.status = 'redeemed')::int,
                coalesce(t.standing, 0))
            WHEN t.strangers > 0
            THEN format('purchases of another member or business: expected 0, found %%s', t.strangers)
        END AS wrong
        FROM coupons c LEFT JOIN (
            SELECT p.coupon_id, count(*) FILTER (WHERE p.amount + coalesce(r.amount, 0) > 0) AS standing,
                count(*) FILTER (WHERE (p.user_id, p.business_id) <> (c.user_id, c.business_id)) AS strangers
            FROM transactions p JOIN coupons c ON c.id = p.coupon_id
            LEFT JOIN LATERAL (
                SELECT sum(amount) AS amount FROM transactions WHERE refund_of = p.id
            ) r ON true
            WHERE p.kind = 'purchase' GROUP BY p.coupon_id
        ) t ON t.coupon_id = c.id
        """,
    ),
    Check(
        "nobody sets more aside than they had at that moment",
        "bonus_holds",
        # A refund afterwards may take what is held: the quote is refused then. Of entries of the very same
        # moment nobody knows which came before.
        """
        SELECT h.id, user_id, CASE WHEN h.amount > coalesce(had.total, 0)
            THEN format('amount held: expected %%s at most, found %%s', coalesce(had.total, 0), h.amount)
            END AS wrong
        FROM (
            SELECT user_id, sum(amount) AS amount, max(created_at) AS at, min(id::text)::uuid AS id
            FROM bonus_holds WHERE released_at IS NULL AND expires_at > %(at)s GROUP BY user_id
        ) h CROSS JOIN LATERAL (
            SELECT greatest(
                (SELECT total_after FROM bonus_entries e WHERE e.user_id = h.user_id AND e.recorded_at < h.at
                ORDER BY position DESC LIMIT 1),
                (SELECT max(total_after) FROM bonus_entries e
                WHERE e.user_id = h.user_id AND e.recorded_at = h.at)
            ) AS total
        ) had
        """,
    ),
    Check(
        "members of sandboxes buy there, and nobody else does",
        "transactions",
        """
        SELECT t.id, t.user_id, CASE
            WHEN (b.is_sandbox OR u.is_sandbox) AND b.id IS DISTINCT FROM s.sandbox_id
            THEN format('sandbox: expected %%s, found %%s', coalesce(s.sandbox_id::text, 'none'), b.id)
        END AS wrong
        FROM transactions t JOIN businesses b ON b.id = t.business_id JOIN users u ON u.id = t.user_id
        LEFT JOIN sandbox_members s ON s.user_id = u.id
        """,
    ),
)


@contextmanager
def snapshot() -> Iterator[None]:
    """Read everything as it is at one moment, beside writers, and write nothing."""
    connection.ensure_connection()
    session = connection.connection
    session.isolation_level, session.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with atomic():
            yield
    finally:
        session.isolation_level = session.read_only = None


def verify_ledger(*, at: datetime) -> Iterator[Finding]:
    """Yield the outcome of every check, one statement each; memory does not grow with the tables.

    at  holds are live or over at that moment
    """
    for check in CHECKS:
        started = monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT count(*), count(wrong), min(ARRAY[id::text, user_id::text, wrong])
                    FILTER (WHERE wrong IS NOT NULL) FROM ({check.rows}) AS rows
                """,  # noqa: S608  the checks above
                {"at": at},
            )
            rows, wrong, first = cursor.fetchone()
        yield Finding(check, rows, wrong, Wrong(*first) if first else None, monotonic() - started)
