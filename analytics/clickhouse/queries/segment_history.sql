-- How many were in each segment, snapshot by snapshot. The moments of calculation come from rfm_runs: they
-- leave out rows of an earlier calculation of the same day without FINAL over everything.
SELECT snapshot_date, rfm_segment, count()
FROM rfm_snapshots
WHERE (snapshot_date, calculated_at) IN %(pictures)s
GROUP BY snapshot_date, rfm_segment
ORDER BY snapshot_date, rfm_segment
