-- What rfm_members.sql says of two days whose years overlap, read once; a frequency of 0 where a member
-- had nothing that year.
SELECT
    toInt32(toDate(%(snapshot_date_earlier)s) - toDate(maxIf(last_before, net_before > 0), %(zone)s)) AS recency_before,
    toInt32(sumIf(receipts_before, net_before > 0)) AS frequency_before,
    toInt32(toDate(%(snapshot_date)s) - toDate(maxIf(last_after, net_after > 0), %(zone)s)) AS recency_after,
    toInt32(sumIf(receipts_after, net_after > 0)) AS frequency_after
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
HAVING frequency_before > 0 OR frequency_after > 0
