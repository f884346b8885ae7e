-- What became of the bonuses given in the span, by whole months after they were given.
SELECT
    age('month', given_on, day) AS months_later,
    sum(given),
    -sum(redeemed),
    -sum(expired),
    -sum(taken_back)
FROM
(
    SELECT
        toDate(given_at, %(zone)s) AS given_on,
        toDate(timestamp, %(zone)s) AS day,
        sumIf(amount, kind = 'accrual') AS given,
        sumIf(amount, kind IN ('redemption', 'restoration')) AS redeemed,
        sumIf(amount, kind = 'expiry') AS expired,
        sumIf(amount, kind IN ('reversal', 'debt_repayment')) AS taken_back
    FROM bonus_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC')
        AND given_at >= toDateTime(%(from)s, 'UTC') AND given_at < toDateTime(%(to)s, 'UTC')
        AND (%(everywhere)s OR issuer_business_id IN %(business_ids)s)
    GROUP BY given_on, day
)
GROUP BY months_later
ORDER BY months_later
