-- What each month holds, to see which months the rebuilt table changes.
SELECT
    toYYYYMM(date) AS month,
    sum(treated + control) AS assignments,
    sum(cityHash64(date, source_business_id, target_business_id, triggers, conversions, treated,
        treated_visits, control, control_visits, treated_revenue, control_revenue)) AS digest
FROM {table}
WHERE date >= toDate(%(since_date)s)
GROUP BY month
