-- The customers who come first by {first}.
SELECT
    user_id, purchase_days, silent_days, spent, return_chance, expected_purchases, purchase_value,
    expected_value
FROM customer_forecasts FINAL
WHERE business_id = toUUID(%(of)s) AND calculated_at = toDateTime64(%(calculated_at)s, 3, 'UTC')
    AND (%(everywhere)s OR business_id IN %(business_ids)s)
    AND {which}
ORDER BY {first} DESC, user_id
LIMIT %(limit)s
