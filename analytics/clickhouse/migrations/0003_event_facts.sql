-- One row per registration in its latest state: the version counts the states of the row in PostgreSQL.
-- The timestamp is when the registration was made, so that every state falls into one partition.
CREATE TABLE IF NOT EXISTS event_facts
(
    registration_id UUID,
    event_id UUID,
    user_id UUID,
    business_id UUID,
    status LowCardinality(String),
    party_size UInt16,
    timestamp DateTime('UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (event_id, user_id, registration_id)
TTL timestamp + INTERVAL 24 MONTH;
