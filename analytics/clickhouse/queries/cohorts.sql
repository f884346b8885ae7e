-- Members by the local month of their first purchase in the span, and by how many months later they bought.
SELECT cohort, dateDiff('month', cohort, month) AS months_later, count() AS members, sum(bought)
FROM
(
    SELECT
        user_id,
        toStartOfMonth(toDate(timestamp, %(zone)s)) AS month,
        sum(amount) AS bought,
        min(month) OVER (PARTITION BY user_id) AS cohort
    FROM transaction_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
        AND kind = 'purchase'
        AND (%(everywhere)s OR business_id IN %(business_ids)s)
    GROUP BY user_id, month
)
GROUP BY cohort, months_later
ORDER BY cohort, months_later
