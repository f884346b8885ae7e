-- What each buyer did before a day, for BG/NBD and Gamma-Gamma: local days with a purchase, the first and
-- the last of them, and what the days after the first came to. Receipts count as in RFM: at what their
-- refunds dated before that day have left of them, and only above zero.
SELECT
    user_id,
    toInt32(count()) AS purchase_days,
    toInt32(max(day) - min(day)) AS last_days,
    toInt32(toDate(%(on)s) - 1 - min(day)) AS age_days,
    sum(spent) AS total,
    total - argMin(spent, day) AS repeated
FROM
(
    SELECT user_id, day, sum(net) AS spent
    FROM
    (
        SELECT
            any(user_id) AS user_id,
            receipt_id,
            toDate(maxIf(timestamp, kind = 'purchase'), %(zone)s) AS day,
            sum(amount) AS net
        FROM transaction_facts FINAL
        WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
            AND (%(everywhere)s OR business_id IN %(business_ids)s)
        GROUP BY receipt_id
        HAVING net > 0 AND countIf(kind = 'purchase') > 0
    )
    GROUP BY user_id, day
)
GROUP BY user_id
