-- Members by the local month of their first purchase in the span, and by how many months later they bought.
-- A member's kopecks month by month in one row of `months` numbers, whose first above zero is when they
-- came: on 5 million facts of 100,000 members half the time of arrays that grow by every purchase.
SELECT
    addMonths(toStartOfMonth(toDate(toDateTime(%(from)s, 'UTC'), %(zone)s)), first - 1) AS cohort,
    toInt32(number - first) AS months_later,
    buyers,
    toDecimal128(kopecks, 2) / 100
FROM
(
    SELECT first, sumForEach(bought) AS buyers_by_month, sumForEach(sums) AS kopecks_by_month
    FROM
    (
        SELECT
            sumResample(0, %(months)s, 1)(
                reinterpretAsInt64(amount),
                toRelativeMonthNum(timestamp, %(zone)s)
                    - toRelativeMonthNum(toDateTime(%(from)s, 'UTC'), %(zone)s)
            ) AS sums,
            arrayMap(each -> each > 0, sums) AS bought,
            toInt32(indexOf(bought, 1)) AS first
        FROM transaction_facts FINAL
        WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
            AND kind = 'purchase'
            AND (%(everywhere)s OR business_id IN %(business_ids)s)
        GROUP BY user_id
    )
    GROUP BY first
)
ARRAY JOIN
    buyers_by_month AS buyers,
    kopecks_by_month AS kopecks,
    arrayEnumerate(buyers_by_month) AS number
WHERE buyers > 0
ORDER BY cohort, months_later
