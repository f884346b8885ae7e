-- Who is compared: each member of a chain once, at the first trigger that drew an arm, and only when the
-- time that visits are counted for is over.
INSERT INTO cross_promo_conversions_staging
    (date, source_business_id, target_business_id, chain_id, triggers, conversions, assignments,
     treated, treated_visits, control, control_visits, treated_revenue, control_revenue,
     treated_revenue_squares, control_revenue_squares, discount, covered, still_open)
SELECT
    toDate(toDateTime(timestamp, 'UTC'), %(zone)s) AS date,
    assumeNotNull(source_business_id),
    assumeNotNull(target_business_id),
    assumeNotNull(chain_id),
    sum(triggered),
    sum(converted),
    count(),
    sum(counts * treated),
    sum(counts * treated * visited),
    sum(counts * (1 - treated)),
    sum(counts * (1 - treated) * visited),
    sumIf(revenue, counts AND treated),
    sumIf(revenue, counts AND NOT treated),
    sumIf(square, counts AND treated),
    sumIf(square, counts AND NOT treated),
    sumIf(discount, counts AND treated),
    sumIf(covered, counts AND treated),
    sum(is_first * (1 - counts))
FROM
(
    SELECT
        *,
        is_first * (closes_at <= %(at)s) AS counts,
        toDecimal128(revenue, 2) * toDecimal128(revenue, 2) AS square
    FROM postgresql({collection}, table = 'chain_outcomes')
    WHERE timestamp >= %(since)s
)
GROUP BY date, source_business_id, target_business_id, chain_id
