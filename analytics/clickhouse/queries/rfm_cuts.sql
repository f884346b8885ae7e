-- The cut-points, read back from the snapshot they gave: no second look at the purchases.
SELECT members, recency_cuts, frequency_cuts, monetary_cuts
FROM
(
    SELECT
        count() AS members,
        arrayMap(k -> intDiv(k * members + 4, 5), [1, 2, 3, 4]) AS places,
        arraySort(groupArray(-recency_days)) AS recencies,
        arraySort(groupArray(frequency_count)) AS frequencies,
        arraySort(groupArray(monetary_value)) AS sums,
        arrayMap(place -> recencies[place], places) AS recency_cuts,
        arrayMap(place -> frequencies[place], places) AS frequency_cuts,
        arrayMap(place -> sums[place], places) AS monetary_cuts
    FROM rfm_snapshots
    WHERE snapshot_date = toDate(%(snapshot_date)s) AND calculated_at = toDateTime64(%(calculated_at)s, 3, 'UTC')
)
