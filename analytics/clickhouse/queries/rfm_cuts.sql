-- The cut-points, read back from the snapshot they gave: no second look at the purchases. A cut is a member's
-- own value, and who scores k or less lies at or below cut k; so the largest of them is the cut.
SELECT
    count(),
    [maxIf(-recency_days, r_score <= 1), maxIf(-recency_days, r_score <= 2),
     maxIf(-recency_days, r_score <= 3), maxIf(-recency_days, r_score <= 4)],
    [maxIf(frequency_count, f_score <= 1), maxIf(frequency_count, f_score <= 2),
     maxIf(frequency_count, f_score <= 3), maxIf(frequency_count, f_score <= 4)],
    [maxIf(monetary_value, m_score <= 1), maxIf(monetary_value, m_score <= 2),
     maxIf(monetary_value, m_score <= 3), maxIf(monetary_value, m_score <= 4)]
FROM rfm_snapshots
WHERE snapshot_date = toDate(%(snapshot_date)s) AND calculated_at = toDateTime64(%(calculated_at)s, 3, 'UTC')
