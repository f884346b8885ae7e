SELECT {first_day} AS first_day, sum(turnover)
FROM
(
    SELECT toDate(timestamp, %(zone)s) AS local_day, sum(amount) AS turnover
    FROM transaction_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
        AND (%(everywhere)s OR business_id IN %(business_ids)s)
    GROUP BY local_day
)
GROUP BY first_day
ORDER BY first_day
