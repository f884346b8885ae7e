SELECT
    user_id, recency_days, frequency_count, monetary_value, r_score, f_score, m_score, rfm_segment,
    count() OVER () AS total
FROM ({rfm_source})
WHERE %(segment)s = '' OR rfm_segment = %(segment)s
ORDER BY monetary_value DESC, user_id
LIMIT %(limit)s OFFSET %(offset)s
