-- Members by their segment in two snapshots; empty where a member was in only one of them.
SELECT earlier, later, count()
FROM
(
    SELECT
        user_id,
        anyIf(rfm_segment, snapshot_date = toDate(%(earlier)s)) AS earlier,
        anyIf(rfm_segment, snapshot_date = toDate(%(later)s)) AS later
    FROM rfm_snapshots FINAL
    WHERE snapshot_date IN (toDate(%(earlier)s), toDate(%(later)s))
    GROUP BY user_id
)
GROUP BY earlier, later
ORDER BY earlier, later
