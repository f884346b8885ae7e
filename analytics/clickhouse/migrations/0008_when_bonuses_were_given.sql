-- given_at  the moment of the purchase that brought the lot: with it reports add movements up by the age of
--           the bonuses, and gather no lots. What was carried before has none until a refill; the nightly
--           `reconcile --heal` sees the difference, too.
ALTER TABLE bonus_facts ADD COLUMN IF NOT EXISTS given_at DateTime('UTC') AFTER timestamp;
