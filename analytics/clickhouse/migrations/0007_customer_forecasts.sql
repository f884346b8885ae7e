-- What is expected of each customer, of the programme (business_id of zeros) and of each business alone.
-- A calculation stands beside the one before it until forecast_runs in PostgreSQL names it: so its moment
-- is part of the key, and no merge may drop the older rows that are being read.
CREATE TABLE IF NOT EXISTS customer_forecasts
(
    business_id UUID,
    user_id UUID,
    purchase_days Int32,
    silent_days Int32,
    spent Decimal64(2),
    return_chance Float64,
    expected_purchases Float64,
    purchase_value Decimal64(2),
    expected_value Decimal64(2),
    calculated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(calculated_at)
ORDER BY (business_id, calculated_at, user_id)
TTL toDateTime(calculated_at) + INTERVAL 3 MONTH;
