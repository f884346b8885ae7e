CREATE TABLE bonus_facts
(
    `entry_id` UUID,
    `lot_id` UUID,
    `user_id` UUID,
    `issuer_business_id` UUID,
    `honoured_business_id` UUID,
    `kind` LowCardinality(String),
    `amount` Decimal(18, 2),
    `timestamp` DateTime('UTC'),
    `given_at` DateTime('UTC'),
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (issuer_business_id, timestamp, entry_id)
TTL timestamp + toIntervalMonth(24)
SETTINGS index_granularity = 8192;

CREATE TABLE cross_promo_conversions
(
    `date` Date,
    `source_business_id` UUID,
    `target_business_id` UUID,
    `triggers` Int32,
    `conversions` Int32,
    `conversion_rate` Float32 ALIAS if(triggers = 0, 0, conversions / triggers),
    `treated` Int32,
    `treated_visits` Int32,
    `control` Int32,
    `control_visits` Int32,
    `treated_revenue` Decimal(18, 2),
    `control_revenue` Decimal(18, 2),
    `chain_id` UUID,
    `assignments` Int32,
    `treated_revenue_squares` Decimal(38, 4),
    `control_revenue_squares` Decimal(38, 4),
    `discount` Decimal(18, 2),
    `covered` Decimal(18, 2),
    `still_open` Int32
)
ENGINE = SummingMergeTree((triggers, conversions, treated, treated_visits, control, control_visits, treated_revenue, control_revenue, assignments, treated_revenue_squares, control_revenue_squares, discount, covered, still_open))
PARTITION BY toYYYYMM(date)
PRIMARY KEY (date, source_business_id, target_business_id)
ORDER BY (date, source_business_id, target_business_id, chain_id)
TTL date + toIntervalMonth(24)
SETTINGS index_granularity = 8192;

CREATE TABLE customer_forecasts
(
    `business_id` UUID,
    `user_id` UUID,
    `purchase_days` Int32,
    `silent_days` Int32,
    `spent` Decimal(18, 2),
    `return_chance` Float64,
    `expected_purchases` Float64,
    `purchase_value` Decimal(18, 2),
    `expected_value` Decimal(18, 2),
    `calculated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(calculated_at)
ORDER BY (business_id, calculated_at, user_id)
TTL toDateTime(calculated_at) + toIntervalMonth(3)
SETTINGS index_granularity = 8192;

CREATE TABLE event_facts
(
    `registration_id` UUID,
    `event_id` UUID,
    `user_id` UUID,
    `business_id` UUID,
    `status` LowCardinality(String),
    `party_size` UInt16,
    `timestamp` DateTime('UTC'),
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (event_id, user_id, registration_id)
TTL timestamp + toIntervalMonth(24)
SETTINGS index_granularity = 8192;

CREATE TABLE rfm_snapshots
(
    `snapshot_date` Date,
    `user_id` UUID,
    `recency_days` Int32,
    `frequency_count` Int32,
    `monetary_value` Decimal(18, 2),
    `rfm_segment` String,
    `r_score` UInt8,
    `f_score` UInt8,
    `m_score` UInt8,
    `calculated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(calculated_at)
ORDER BY (user_id, snapshot_date)
TTL snapshot_date + toIntervalMonth(12)
SETTINGS index_granularity = 8192;

CREATE TABLE transaction_facts
(
    `transaction_id` UUID,
    `user_id` UUID,
    `business_id` UUID,
    `amount` Decimal(18, 2),
    `bonus_accrued` Decimal(18, 2),
    `category` String,
    `timestamp` DateTime('UTC'),
    `kind` LowCardinality(String),
    `receipt_id` UUID,
    `bonus_redeemed` Decimal(18, 2),
    `coupon_discount` Decimal(18, 2),
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (user_id, timestamp, transaction_id)
TTL timestamp + toIntervalMonth(24)
SETTINGS index_granularity = 8192;
