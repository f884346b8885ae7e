SELECT
    source_business_id,
    target_business_id,
    chain_id,
    sum(triggers),
    sum(conversions),
    sum(treated),
    sum(treated_visits),
    sum(treated_revenue),
    sum(treated_revenue_squares),
    sum(control),
    sum(control_visits),
    sum(control_revenue),
    sum(control_revenue_squares),
    sum(discount),
    sum(covered),
    sum(still_open)
FROM cross_promo_conversions
WHERE date >= toDate(%(from_date)s) AND date < toDate(%(to_date)s)
    AND (%(everywhere)s OR source_business_id IN %(business_ids)s OR target_business_id IN %(business_ids)s)
GROUP BY source_business_id, target_business_id, chain_id
ORDER BY source_business_id, target_business_id, chain_id
