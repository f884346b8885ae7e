-- The rows of `count` purchases, written by hand: what the product may cost at most is a multiple of this.
-- pgbench runs it for one purchase at a time, batches and imports for all of theirs in one statement.
--   first    number of the first purchase; amount, member and business follow from the number
--   count    how many
--   members  how many members they spread over
WITH asked AS MATERIALIZED (
    SELECT n, bench_key() AS id, bench_key() AS lot_id, bench_key() AS entry_id,
           member.id AS user_id, business.id AS business_id,
           (100 + n % 900)::numeric(14, 2) AS amount,
           round((100 + n % 900) * tier.accrual_percent / 100, 2) AS accrued
    FROM generate_series(:first::bigint, :first::bigint + :count::bigint - 1) AS n
    JOIN users member ON member.card_number = 'bench-' || n % :members::bigint
    JOIN status_tiers tier ON tier.id = member.status_tier
    JOIN businesses business ON business.code = 'BENCH' || n % 20
),
purchases AS (
    INSERT INTO transactions (
        id, user_id, business_id, kind, amount, coupon_discount, bonus_redeemed, bonus_accrued, category,
        external_id, request_hash, source, explanation, created_at, recorded_at
    )
    SELECT id, user_id, business_id, 'purchase', amount, 0, 0, accrued, 'tea',
           id::text, sample.request_hash, 'api', sample.explanation, now(), now()
    FROM asked, bench_sample AS sample
),
lots AS (
    INSERT INTO bonus_lots (
        id, created_at, user_id, issuer_id, transaction_id, kind, accrued, remaining, available_from, expires_at
    )
    SELECT lot_id, now(), user_id, business_id, id, 'purchase', accrued, accrued, now(), now() + interval '366 days'
    FROM asked
),
balances AS (
    INSERT INTO bonuses (
        id, created_at, updated_at, user_id, balance, pending, debt, expires_at, entries, turnover_bound,
        turnover_as_of
    )
    -- The year was never added up: a time here would make the product look at every earlier purchase as late.
    SELECT bench_key(), now(), now(), user_id, sum(accrued), 0, 0, now() + interval '366 days', count(*),
           sum(amount), NULL::timestamptz
    FROM asked GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET
        updated_at = EXCLUDED.updated_at,
        balance = bonuses.balance + EXCLUDED.balance,
        expires_at = least(bonuses.expires_at, EXCLUDED.expires_at),
        entries = bonuses.entries + EXCLUDED.entries,
        turnover_bound = bonuses.turnover_bound + EXCLUDED.turnover_bound
    RETURNING user_id, balance + pending AS total, entries
)
INSERT INTO bonus_entries (
    id, created_at, lot_id, user_id, kind, amount, transaction_id, recorded_at, position, total_after, debt_after
)
-- The upsert returns the totals after the last of the member's purchases; the others stand before it.
SELECT entry_id, now(), lot_id, user_id, 'accrual', accrued, id, now(),
       balances.entries + 1 - row_number() OVER later,
       balances.total + accrued - sum(accrued) OVER later, 0
FROM asked JOIN balances USING (user_id)
WINDOW later AS (PARTITION BY user_id ORDER BY n DESC)
ORDER BY user_id, n;
