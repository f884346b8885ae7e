-- What the hold-out needs besides. The engine lists what it adds up and cannot be altered, so the table is
-- made anew; the next hourly run, or `manage.py aggregate_cross_promo`, fills it again from PostgreSQL.
--
-- chain_id        two chains of a pair may hold out different shares, and then must not be pooled; appended
--                 to the sorting key only, so that the given key stays the primary one
-- assignments     triggers that drew an arm, to compare with PostgreSQL's count before the swap
-- …_squares       sums of squares of each member's revenue: an interval of a mean needs its variance
-- discount        what the chain's coupons took off, and covered: the source's part of it
-- still_open      members whose visits are still being counted; in neither arm yet
DROP TABLE IF EXISTS cross_promo_conversions;
CREATE TABLE IF NOT EXISTS cross_promo_conversions
(
    date Date,
    source_business_id UUID,
    target_business_id UUID,
    triggers Int32,
    conversions Int32,
    conversion_rate Float32 ALIAS if(triggers = 0, 0, conversions / triggers),
    treated Int32,
    treated_visits Int32,
    control Int32,
    control_visits Int32,
    treated_revenue Decimal64(2),
    control_revenue Decimal64(2),
    chain_id UUID,
    assignments Int32,
    treated_revenue_squares Decimal128(4),
    control_revenue_squares Decimal128(4),
    discount Decimal64(2),
    covered Decimal64(2),
    still_open Int32
)
ENGINE = SummingMergeTree((triggers, conversions, treated, treated_visits, control, control_visits, treated_revenue, control_revenue, assignments, treated_revenue_squares, control_revenue_squares, discount, covered, still_open))
PARTITION BY toYYYYMM(date)
PRIMARY KEY (date, source_business_id, target_business_id)
ORDER BY (date, source_business_id, target_business_id, chain_id)
TTL date + INTERVAL 24 MONTH;
