-- Members by the local month of their first purchase in the span, and by how many months later they bought.
-- One group a member and not one a member and month: on 5 million facts of 100,000 members less than half
-- of the time, and well within a page's memory, which a window over the months broke.
SELECT
    addMonths(toDate('1970-01-01'), first - first_number) AS cohort,
    toInt32(month) - first AS months_later,
    countIf(nth = 1) AS members,
    sum(amount)
FROM
(
    SELECT
        groupArray(toUInt16(toRelativeMonthNum(toDate(timestamp, %(zone)s)))) AS months,
        groupArray(amount) AS amounts,
        toInt32(arrayMin(months)) AS first,
        toInt32(toRelativeMonthNum(toDate('1970-01-01'))) AS first_number
    FROM transaction_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
        AND kind = 'purchase'
        AND (%(everywhere)s OR business_id IN %(business_ids)s)
    GROUP BY user_id
)
ARRAY JOIN months AS month, amounts AS amount, arrayEnumerateUniq(months) AS nth
GROUP BY first, first_number, months_later
ORDER BY cohort, months_later
