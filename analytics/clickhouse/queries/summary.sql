SELECT
    sum(turnover),
    sum(bought),
    sum(returned),
    countIf(bought > 0),
    countIf(bought > 1),
    sum(accrued),
    sum(redeemed)
FROM
(
    SELECT
        user_id,
        sum(amount) AS turnover,
        countIf(kind = 'purchase') AS bought,
        countIf(kind = 'refund') AS returned,
        sum(bonus_accrued) AS accrued,
        sum(bonus_redeemed) AS redeemed
    FROM transaction_facts FINAL
    WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
        AND (%(everywhere)s OR business_id IN %(business_ids)s)
    GROUP BY user_id
)
