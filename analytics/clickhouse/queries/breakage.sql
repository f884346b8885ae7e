-- What became of the bonuses given in the span, by whole months after they were given.
SELECT
    age('month', given_at, timestamp) AS months_later,
    sumIf(amount, kind = 'accrual'),
    -sumIf(amount, kind IN ('redemption', 'restoration')),
    -sumIf(amount, kind = 'expiry'),
    -sumIf(amount, kind IN ('reversal', 'debt_repayment'))
FROM
(
    SELECT kind, amount, timestamp, min(timestamp) OVER (PARTITION BY lot_id) AS given_at
    FROM bonus_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC')
        AND (%(everywhere)s OR issuer_business_id IN %(business_ids)s)
)
WHERE given_at < toDateTime(%(to)s, 'UTC')
GROUP BY months_later
ORDER BY months_later
