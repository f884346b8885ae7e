-- Purchases and refunds. The version is 1: a row never changes, so a repeated pull brings the same row.
CREATE TABLE IF NOT EXISTS transaction_facts
(
    transaction_id UUID,
    user_id UUID,
    business_id UUID,
    amount Decimal64(2),
    bonus_accrued Decimal64(2),
    category String,
    timestamp DateTime('UTC'),
    kind LowCardinality(String),
    receipt_id UUID,
    bonus_redeemed Decimal64(2),
    coupon_discount Decimal64(2),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (user_id, timestamp, transaction_id)
TTL timestamp + INTERVAL 24 MONTH;
