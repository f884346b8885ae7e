-- Members whose segment in the snapshot just taken differs from the one PostgreSQL keeps; empty where the
-- snapshot has them no longer. Compared here, so that only the changes of a night are handed over.
SELECT user_id, anyIf(segment, is_new) AS now, anyIf(segment, NOT is_new) AS kept
FROM
(
    SELECT user_id, rfm_segment AS segment, true AS is_new
    FROM rfm_snapshots
    WHERE snapshot_date = toDate(%(snapshot_date)s) AND calculated_at = toDateTime64(%(calculated_at)s, 3, 'UTC')
    UNION ALL
    SELECT assumeNotNull(user_id), assumeNotNull(segment), false
    FROM postgresql({collection}, table = 'member_segments')
)
GROUP BY user_id
HAVING now != kept
