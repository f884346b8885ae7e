-- What members hold in the morning, by who gave it and by how many whole months ago. Debts and write-offs
-- are notes beside a lot and take nothing out of it.
SELECT issuer_business_id, age('month', given_on, toDate(%(on)s)) AS months_old, sum(held) AS bonuses
FROM
(
    SELECT issuer_business_id, toDate(given_at, %(zone)s) AS given_on, sum(amount) AS held
    FROM bonus_facts FINAL
    WHERE timestamp < toDateTime(%(to)s, 'UTC') AND kind NOT IN ('debt', 'write_off')
        AND (%(everywhere)s OR issuer_business_id IN %(business_ids)s)
    GROUP BY issuer_business_id, given_on
)
GROUP BY issuer_business_id, months_old
HAVING bonuses > 0
ORDER BY issuer_business_id, months_old
