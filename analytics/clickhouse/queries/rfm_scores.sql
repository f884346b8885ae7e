-- Scores by the cut-points: for n members, cut k is the ceil(k*n/5)-th value ascending, and a score is one
-- more than the cuts below the value. Equal members therefore score alike, unlike with ntile(). Each picture
-- of members is scored by itself.
SELECT
    picture,
    member.1 AS user_id,
    member.2 AS recency_days,
    member.3 AS frequency_count,
    member.4 AS monetary_value,
    toUInt8(1 + arrayCount(cut -> cut < -recency_days, recency_cuts)) AS r_score,
    toUInt8(1 + arrayCount(cut -> cut < frequency_count, frequency_cuts)) AS f_score,
    toUInt8(1 + arrayCount(cut -> cut < monetary_value, monetary_cuts)) AS m_score,
    multiIf(
        r_score = 5 AND f_score >= 4, 'champions',
        r_score >= 3 AND f_score >= 4, 'loyal',
        r_score >= 4 AND f_score >= 2, 'potential_loyalist',
        r_score = 5, 'new',
        r_score = 4, 'promising',
        r_score = 3 AND f_score = 3, 'need_attention',
        r_score = 3, 'about_to_sleep',
        f_score = 5, 'cant_lose',
        f_score >= 3, 'at_risk',
        'hibernating'
    ) AS rfm_segment,
    members,
    recency_cuts,
    frequency_cuts,
    monetary_cuts
FROM
(
    SELECT
        picture,
        count() AS members,
        arrayMap(k -> intDiv(k * members + 4, 5), [1, 2, 3, 4]) AS places,
        arraySort(groupArray(-recency)) AS recencies,
        arraySort(groupArray(frequency)) AS frequencies,
        arraySort(groupArray(monetary)) AS sums,
        arrayMap(place -> recencies[place], places) AS recency_cuts,
        arrayMap(place -> frequencies[place], places) AS frequency_cuts,
        arrayMap(place -> sums[place], places) AS monetary_cuts,
        groupArray((user_id, recency, frequency, monetary)) AS everyone
    FROM ({rfm_members})
    GROUP BY picture
)
ARRAY JOIN everyone AS member
