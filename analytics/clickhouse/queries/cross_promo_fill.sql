INSERT INTO cross_promo_conversions_staging
    (date, source_business_id, target_business_id, triggers, conversions,
     treated, treated_visits, control, control_visits, treated_revenue, control_revenue)
SELECT
    toDate(toDateTime(timestamp, 'UTC'), %(zone)s) AS date,
    assumeNotNull(source_business_id),
    assumeNotNull(target_business_id),
    sum(triggered),
    sum(converted),
    sum(treated),
    sum(treated * visited),
    sum(1 - treated),
    sum((1 - treated) * visited),
    sumIf(revenue, treated = 1),
    sumIf(revenue, treated = 0)
FROM postgresql({collection}, table = 'chain_outcomes')
WHERE timestamp >= %(since)s
GROUP BY date, source_business_id, target_business_id
