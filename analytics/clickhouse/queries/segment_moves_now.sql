-- Members by their segment on two days, scored now from purchases; empty where a member had none that year.
SELECT earlier, later, count()
FROM
(
    SELECT
        user_id,
        anyIf(rfm_segment, NOT is_later) AS earlier,
        anyIf(rfm_segment, is_later) AS later
    FROM
    (
        SELECT user_id, rfm_segment, false AS is_later FROM ({rfm_earlier})
        UNION ALL
        SELECT user_id, rfm_segment, true AS is_later FROM ({rfm_later})
    )
    GROUP BY user_id
)
GROUP BY earlier, later
ORDER BY earlier, later
