SELECT r_score, f_score, any(rfm_segment), count(), sum(monetary_value)
FROM ({rfm_source})
GROUP BY r_score, f_score
ORDER BY r_score, f_score
