"""The audit of chains: shares of cost and counts, asked of the purchases, refunds and assignments."""

from dataclasses import dataclass

from svoykrug.db.sql import read


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that breaks a rule; `what` names what is expected and what is found."""

    rule: str
    row_id: str
    what: str


# Rule → SQL of the rows that break it: id, and what is wrong.
SPENT = """
    SELECT c.id, 'spent_rub ' || c.spent_rub || ', its rows come to ' || coalesce(s.sum, 0.00)
    FROM cross_promo_chains c
    LEFT JOIN (SELECT chain_id, sum(discount) FROM chain_cost_shares GROUP BY 1) s ON s.chain_id = c.id
    WHERE c.spent_rub <> coalesce(s.sum, 0)
"""
ISSUED = """
    SELECT c.id, 'issued_count ' || c.issued_count || ', treated are ' || coalesce(a.count, 0)
    FROM cross_promo_chains c LEFT JOIN (
        SELECT chain_id, count(*) FROM chain_assignments WHERE arm = 'treatment' GROUP BY 1
    ) a ON a.chain_id = c.id
    WHERE c.issued_count <> coalesce(a.count, 0)
"""
SHARE = """
    SELECT s.id, 'of ' || s.discount || ' the share is ' || share.owed || ', found ' || s.amount
    FROM chain_cost_shares s
    JOIN cross_promo_chains c ON c.id = s.chain_id
    JOIN transactions t ON t.id = s.transaction_id AND t.kind = 'purchase'
    LEFT JOIN chain_versions v ON v.chain_id = s.chain_id AND v.version = s.version
    -- Without a version there is nothing but today's terms to ask.
    CROSS JOIN LATERAL (
        SELECT round(s.discount * (v.terms->>'discount_share_percent')::numeric / 100, 2) AS owed
    ) share
    WHERE s.amount <> share.owed OR s.discount > t.coupon_discount
        OR (s.debtor_id, s.creditor_id) <> (c.source_business_id, c.target_business_id)
        OR t.business_id <> s.creditor_id
"""
RETURNED = """
    SELECT p.id, 'refunded whole, left are ' || sum(s.discount) || ' and ' || sum(s.amount)
    FROM transactions p
    JOIN transactions t ON t.id = p.id OR t.refund_of = p.id
    JOIN chain_cost_shares s ON s.transaction_id = t.id
    WHERE p.id IN (SELECT transaction_id FROM chain_cost_shares WHERE discount > 0)
        AND p.amount + (SELECT coalesce(sum(r.amount), 0) FROM transactions r WHERE r.refund_of = p.id) = 0
    GROUP BY p.id HAVING sum(s.discount) <> 0 OR sum(s.amount) <> 0
"""
MISSING = """
    SELECT t.id, 'a coupon of a chain took roubles off and no share is kept'
    FROM transactions t JOIN coupons k ON k.id = t.coupon_id AND k.chain_version IS NOT NULL
    WHERE t.kind = 'purchase' AND t.coupon_discount > 0 AND k.benefit IN ('percent', 'fixed')
        AND t.recorded_at >= (SELECT min(created_at) FROM chain_cost_shares)
        AND NOT EXISTS (SELECT 1 FROM chain_cost_shares s WHERE s.transaction_id = t.id)
"""
CHECKS = {"spent": SPENT, "issued": ISSUED, "share": SHARE, "returned": RETURNED, "missing": MISSING}


def verify_chains() -> list[Fault]:
    """Return every row that breaks a rule."""
    found = read(*((sql, []) for sql in CHECKS.values()))
    return [
        Fault(rule, str(row_id), what)
        for rule, rows in zip(CHECKS, found, strict=True)
        for row_id, what in rows
    ]
