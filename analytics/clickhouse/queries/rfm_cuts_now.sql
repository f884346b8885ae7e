-- The cut-points of scores computed now: every row carries the same ones.
SELECT recency_cuts, frequency_cuts, monetary_cuts
FROM ({rfm_source})
LIMIT 1
