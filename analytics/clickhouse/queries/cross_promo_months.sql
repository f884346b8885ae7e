-- What each month holds, to see which months the rebuilt table changes.
SELECT
    toYYYYMM(date) AS month,
    sum(assignments) AS assignments,
    sum(cityHash64(date, source_business_id, target_business_id, chain_id, triggers, conversions,
        treated, treated_visits, control, control_visits, treated_revenue, control_revenue,
        treated_revenue_squares, control_revenue_squares, discount, covered, still_open)) AS digest
FROM {table}
WHERE date >= toDate(%(since_date)s)
GROUP BY month
