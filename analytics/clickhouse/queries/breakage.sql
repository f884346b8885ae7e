-- What became of the bonuses given in the span, by whole months after they were given. A lot given before
-- it, of which only the end lies within, has no accrual here and does not count.
SELECT
    age('month', given_at, entry.3) AS months_later,
    sumIf(entry.2, entry.1 = 'accrual'),
    -sumIf(entry.2, entry.1 IN ('redemption', 'restoration')),
    -sumIf(entry.2, entry.1 = 'expiry'),
    -sumIf(entry.2, entry.1 IN ('reversal', 'debt_repayment'))
FROM
(
    SELECT
        minIf(timestamp, kind = 'accrual') AS given_at,
        groupArray((kind, amount, timestamp)) AS entries
    FROM bonus_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC')
        AND (%(everywhere)s OR issuer_business_id IN %(business_ids)s)
    GROUP BY lot_id
    HAVING countIf(kind = 'accrual') > 0 AND given_at < toDateTime(%(to)s, 'UTC')
)
ARRAY JOIN entries AS entry
GROUP BY months_later
ORDER BY months_later
