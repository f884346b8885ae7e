-- What rfm_members.sql says of two days, 0 the earlier and 1 the later, whose years overlap: read once.
SELECT user_id, year.1 AS picture, year.2 AS recency, year.3 AS frequency, year.4 AS monetary
FROM
(
    SELECT
        user_id,
        [
            (
                0,
                toInt32(toDate(%(snapshot_date_earlier)s) - toDate(maxIf(last_before, net_before > 0), %(zone)s)),
                toInt32(sumIf(receipts_before, net_before > 0)),
                sumIf(net_before, net_before > 0)
            ),
            (
                1,
                toInt32(toDate(%(snapshot_date)s) - toDate(maxIf(last_after, net_after > 0), %(zone)s)),
                toInt32(sumIf(receipts_after, net_after > 0)),
                sumIf(net_after, net_after > 0)
            )
        ] AS years
    FROM
    (
        SELECT
            user_id,
            maxIf(timestamp, kind = 'purchase' AND timestamp < toDateTime(%(to_earlier)s, 'UTC')) AS last_before,
            countIf(kind = 'purchase' AND timestamp < toDateTime(%(to_earlier)s, 'UTC')) AS receipts_before,
            sumIf(amount, timestamp < toDateTime(%(to_earlier)s, 'UTC')) AS net_before,
            maxIf(timestamp, kind = 'purchase' AND timestamp >= toDateTime(%(from)s, 'UTC')) AS last_after,
            countIf(kind = 'purchase' AND timestamp >= toDateTime(%(from)s, 'UTC')) AS receipts_after,
            sumIf(amount, timestamp >= toDateTime(%(from)s, 'UTC')) AS net_after
        FROM transaction_facts FINAL
        WHERE timestamp >= toDateTime(%(from_earlier)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
            AND (%(everywhere)s OR business_id IN %(business_ids)s)
        GROUP BY
            user_id,
            if(receipt_id IN (
                SELECT receipt_id
                FROM transaction_facts
                WHERE timestamp >= toDateTime(%(from_earlier)s, 'UTC')
                    AND timestamp < toDateTime(%(to)s, 'UTC')
                    AND kind = 'refund'
                    AND (%(everywhere)s OR business_id IN %(business_ids)s)
            ), receipt_id, toUUID('00000000-0000-0000-0000-000000000000'))
    )
    GROUP BY user_id
)
ARRAY JOIN years AS year
WHERE frequency > 0
