-- One row per ledger entry. honoured_business_id is the zero UUID where no business honoured anything.
CREATE TABLE IF NOT EXISTS bonus_facts
(
    entry_id UUID,
    lot_id UUID,
    user_id UUID,
    issuer_business_id UUID,
    honoured_business_id UUID,
    kind LowCardinality(String),
    amount Decimal64(2),
    timestamp DateTime('UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (issuer_business_id, timestamp, entry_id)
TTL timestamp + INTERVAL 24 MONTH;
