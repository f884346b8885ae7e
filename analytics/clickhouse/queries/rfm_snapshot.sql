-- One snapshot as it stands. LIMIT 1 BY and not FINAL: within a date it is the same, and it reads one date.
SELECT user_id, recency_days, frequency_count, monetary_value, r_score, f_score, m_score, rfm_segment
FROM rfm_snapshots
WHERE snapshot_date = toDate(%(snapshot_date)s)
ORDER BY calculated_at DESC
LIMIT 1 BY user_id
