SELECT
    sum(amount),
    countIf(kind = 'purchase'),
    countIf(kind = 'refund'),
    uniqExactIf(user_id, kind = 'purchase'),
    sum(bonus_accrued),
    sum(bonus_redeemed)
FROM transaction_facts FINAL
WHERE timestamp >= toDateTime(%(from)s, 'UTC') AND timestamp < toDateTime(%(to)s, 'UTC')
    AND (%(everywhere)s OR business_id IN %(business_ids)s)
