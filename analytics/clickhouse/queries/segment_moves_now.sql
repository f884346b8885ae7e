-- Members by their segment on two days, scored now from purchases; empty where a member had none that year.
-- The rules are those of rfm_members.sql and rfm_scores.sql, for two overlapping years that are read once:
-- as two readings it took twice as long at 5 million facts.
SELECT %(segments)s[earlier_cell] AS earlier, %(segments)s[later_cell] AS later, sum(members)
FROM
(
    SELECT earlier_cell, later_cell, count() AS members
    FROM
    (
        SELECT
            (member.2 > 0) * (
                5 * arrayCount(cut -> cut < -member.1, earlier_recency_cuts)
                + arrayCount(cut -> cut < member.2, earlier_frequency_cuts) + 1
            ) AS earlier_cell,
            (member.4 > 0) * (
                5 * arrayCount(cut -> cut < -member.3, later_recency_cuts)
                + arrayCount(cut -> cut < member.4, later_frequency_cuts) + 1
            ) AS later_cell
        FROM
        (
            SELECT
                everyone,
                arrayMap(k -> recencies_before[intDiv(k * length(recencies_before) + 4, 5)], [1, 2, 3, 4])
                    AS earlier_recency_cuts,
                arrayMap(k -> frequencies_before[intDiv(k * length(frequencies_before) + 4, 5)], [1, 2, 3, 4])
                    AS earlier_frequency_cuts,
                arrayMap(k -> recencies_after[intDiv(k * length(recencies_after) + 4, 5)], [1, 2, 3, 4])
                    AS later_recency_cuts,
                arrayMap(k -> frequencies_after[intDiv(k * length(frequencies_after) + 4, 5)], [1, 2, 3, 4])
                    AS later_frequency_cuts
            FROM
            (
                SELECT
                    arraySort(groupArrayIf(-recency_before, frequency_before > 0)) AS recencies_before,
                    arraySort(groupArrayIf(frequency_before, frequency_before > 0)) AS frequencies_before,
                    arraySort(groupArrayIf(-recency_after, frequency_after > 0)) AS recencies_after,
                    arraySort(groupArrayIf(frequency_after, frequency_after > 0)) AS frequencies_after,
                    groupArray((recency_before, frequency_before, recency_after, frequency_after)) AS everyone
                FROM ({rfm_members_twice})
            )
        )
        ARRAY JOIN everyone AS member
    )
    GROUP BY earlier_cell, later_cell
)
GROUP BY earlier, later
ORDER BY earlier, later
