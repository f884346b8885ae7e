-- Customers by their chance of return, in ten steps of ten per cent.
SELECT
    least(toUInt8(floor(return_chance * 10)), 9) AS step,
    count(),
    sum(return_chance),
    sum(expected_purchases),
    sum(expected_value)
FROM customer_forecasts FINAL
WHERE business_id = toUUID(%(of)s) AND calculated_at = toDateTime64(%(calculated_at)s, 3, 'UTC')
    AND (%(everywhere)s OR business_id IN %(business_ids)s)
GROUP BY step
ORDER BY step
