-- Members by their segment on two days, scored now from purchases; empty where a member had none that year.
SELECT earlier, later, count()
FROM
(
    SELECT
        user_id,
        anyIf(rfm_segment, picture = 0) AS earlier,
        anyIf(rfm_segment, picture = 1) AS later
    FROM ({rfm_scores})
    GROUP BY user_id
)
GROUP BY earlier, later
ORDER BY earlier, later
