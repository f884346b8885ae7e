INSERT INTO rfm_snapshots
    (snapshot_date, user_id, recency_days, frequency_count, monetary_value, rfm_segment,
     r_score, f_score, m_score, calculated_at)
SELECT
    toDate(%(snapshot_date)s), user_id, recency_days, frequency_count, monetary_value, rfm_segment,
    r_score, f_score, m_score, toDateTime64(%(calculated_at)s, 3, 'UTC')
FROM ({rfm_scores})
