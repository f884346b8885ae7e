-- Scores by the cut-points: for n members, cut k is the ceil(k*n/5)-th value ascending, and a score is one
-- more than the cuts below the value. Equal members therefore score alike, unlike with ntile().
SELECT
    member.1 AS user_id,
    member.2 AS recency_days,
    member.3 AS frequency_count,
    member.4 AS monetary_value,
    toUInt8(1 + arrayCount(cut -> cut < -recency_days, recency_cuts)) AS r_score,
    toUInt8(1 + arrayCount(cut -> cut < frequency_count, frequency_cuts)) AS f_score,
    toUInt8(1 + arrayCount(cut -> cut < monetary_value, monetary_cuts)) AS m_score,
    %(segments)s[5 * (r_score - 1) + f_score] AS rfm_segment,
    members,
    recency_cuts,
    frequency_cuts,
    monetary_cuts
FROM
(
    SELECT
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
)
ARRAY JOIN everyone AS member
