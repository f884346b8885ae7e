CREATE TABLE IF NOT EXISTS rfm_snapshots
(
    snapshot_date Date,
    user_id UUID,
    recency_days Int32,
    frequency_count Int32,
    monetary_value Decimal64(2),
    rfm_segment String,
    r_score UInt8,
    f_score UInt8,
    m_score UInt8,
    calculated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(calculated_at)
ORDER BY (user_id, snapshot_date)
TTL snapshot_date + INTERVAL 12 MONTH;
