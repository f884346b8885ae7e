-- A row is a pair of businesses on the local day of the trigger. The rate is divided on reading:
-- the engine adds up what it stores, and rates do not add up.
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
    control_revenue Decimal64(2)
)
ENGINE = SummingMergeTree((triggers, conversions, treated, treated_visits, control, control_visits, treated_revenue, control_revenue))
PARTITION BY toYYYYMM(date)
ORDER BY (date, source_business_id, target_business_id)
TTL date + INTERVAL 24 MONTH;
