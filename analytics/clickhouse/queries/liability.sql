-- What members still hold, by who gave it and by how many whole months ago. A lot is what its entries add
-- up to; debts and write-offs are notes beside it and take nothing out of it.
SELECT issuer_business_id, months_old, count(), sum(held)
FROM
(
    SELECT
        issuer_business_id,
        lot_id,
        age('month', min(timestamp), toDateTime(%(to)s, 'UTC')) AS months_old,
        sumIf(amount, kind NOT IN ('debt', 'write_off')) AS held
    FROM bonus_facts FINAL
    WHERE timestamp < toDateTime(%(to)s, 'UTC')
        AND (%(everywhere)s OR issuer_business_id IN %(business_ids)s)
    GROUP BY issuer_business_id, lot_id
    HAVING held > 0
)
GROUP BY issuer_business_id, months_old
ORDER BY issuer_business_id, months_old
