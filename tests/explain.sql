-- Synthetic rows in the proportions of the specification: 500,000 transactions of 10,000 members at
-- 20 businesses over two years, 1,000,000 audit rows. Deterministic: every choice is a hash of the row
-- number. Run by tests/explain.py on a scratch database that was just migrated.

-- The audit rows are made below, so many as the specification counts, and not by the triggers.
DO $$ DECLARE audit record; BEGIN
  FOR audit IN SELECT tgrelid::regclass AS "table", tgname FROM pg_trigger WHERE tgname LIKE 'pgtrigger_audit_%' LOOP
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', audit."table", audit.tgname);
  END LOOP;
END $$;

-- Like UUID version 7: 48 bits of milliseconds, then a hash.
CREATE FUNCTION sk_id(at timestamptz, salt text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3)
          || '8' || substr(h, 4, 15))::uuid
  FROM (SELECT md5(salt || n) AS h) hashed
$$;
-- An even spread of 0 … below-1.
CREATE FUNCTION sk_pick(salt text, n bigint, below int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(salt || n), 1, 7))::bit(28)::int % below
$$;
CREATE FUNCTION sk_at(n bigint, total bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT timestamptz '2024-11-01 00:00+03' + n * interval '730 days' / total
$$;
CREATE FUNCTION sk_member(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id('2024-10-01 00:00+03', 'member', n) $$;
CREATE FUNCTION sk_business(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id('2024-09-01 00:00+03', 'business', n) $$;
CREATE FUNCTION sk_purchase(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id(sk_at(n, 500000), 'purchase', n) $$;
CREATE FUNCTION sk_coupon(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id(sk_at(n, 50000), 'coupon', n) $$;
CREATE FUNCTION sk_chain(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id('2024-10-02 00:00+03', 'chain', n) $$;
CREATE FUNCTION sk_job(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id('2024-10-03 00:00+03', 'job', n) $$;
CREATE FUNCTION sk_event(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id(sk_at(n, 200), 'event', n) $$;
CREATE FUNCTION sk_offer(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT sk_id('2024-10-04 00:00+03', 'offer', n) $$;

-- The triggers would give every row of one INSERT the same sync_xid; here each thousand gets its own.
ALTER TABLE transactions DISABLE TRIGGER USER;
ALTER TABLE bonus_entries DISABLE TRIGGER USER;
ALTER TABLE event_registrations DISABLE TRIGGER USER;

INSERT INTO businesses (id, created_at, updated_at, code, name, legal_name, inn, category, address, phone, logo,
  is_active, is_programme, can_accrue, can_redeem, point_price_rub, pending_days, no_earn_categories, requires_presence_code, stops_accrual_over_limit, has_webhooks)
SELECT sk_business(n), now(), now(), 'B' || lpad(n::text, 2, '0'), 'Business ' || n, '', '', '', '', '', '',
  true, false, true, true, 1, 0, '{}', true, false, false
FROM generate_series(1, 20) n;

INSERT INTO users (id, created_at, updated_at, password, phone, card_number, first_name, last_name, email, city, language,
  status_tier, referral_code, referred_by, is_staff, is_active)
SELECT sk_member(n), sk_at(n, 10000), now(), '', '+7900' || lpad(n::text, 7, '0'), 'card-' || n, 'Name', '', '', '', 'ru',
  (SELECT id FROM status_tiers WHERE level = CASE WHEN n % 100 < 80 THEN 1 WHEN n % 100 < 95 THEN 2 WHEN n % 100 < 99 THEN 3 ELSE 4 END),
  'R' || n, CASE WHEN n % 5 = 0 THEN sk_member(n - 1) END, false, true
FROM generate_series(1, 10000) n;

INSERT INTO offer_constructor (id, created_at, updated_at, business_id, title, conditions, effect, stacking, priority, status, version,
  live_since, uses_count, bonuses_given, discount_given)
SELECT sk_offer(n), now(), now(), sk_business(1 + n % 20), 'Offer ' || n, '{}', '{"kind": "percent", "value": "5"}', 'stackable', 0, 'published', 1, now(), 0, 0, 0
FROM generate_series(1, 100) n;
INSERT INTO offer_versions (id, created_at, offer_id, number, title, conditions, effect, stacking, priority)
SELECT sk_id(now(), 'version', n), now(), sk_offer(n), 1, 'Offer ' || n, '{}', '{"kind": "percent", "value": "5"}', 'stackable', 0 FROM generate_series(1, 100) n;
INSERT INTO member_segments (id, created_at, user_id, segment, snapshot_date)
SELECT sk_id(now(), 'segment', n), now(), sk_member(n), 'loyal', now() FROM generate_series(1, 9000) n;

INSERT INTO cross_promo_chains (id, created_at, updated_at, source_business_id, target_business_id, continues, title,
  trigger_min_amount, trigger_categories, trigger_tiers, trigger_weekdays, trigger_first_purchase, coupon_benefit, coupon_value,
  coupon_text, coupon_min_amount, coupon_valid_days, delay_hours, issued_count, discount_share_percent, holdout_percent,
  attribution_days, exclude_target_customers_days, status, accepted_by, accepted_at, version)
SELECT sk_chain(n), now(), now(), sk_business(1 + n % 20), sk_business(1 + (n * 7 + 1) % 20 + CASE WHEN (n * 7 + 1) % 20 = n % 20 THEN 1 ELSE 0 END),
  CASE WHEN n % 10 = 0 THEN sk_chain(n - 1) END, '', 0, '{}', '{}', '{}', false, 'percent', 10, '', 0, 14, 0, 0, 0, 10, 30, 90,
  'active', sk_member(n), now(), 1
FROM generate_series(1, 50) n;

INSERT INTO transactions (id, user_id, business_id, kind, refund_of, amount, coupon_discount, bonus_redeemed, bonus_accrued, category,
  external_id, request_hash, source, explanation, created_at, recorded_at, sync_xid)
SELECT sk_purchase(n), sk_member(1 + sk_pick('buyer', n, 10000)), sk_business(1 + sk_pick('shop', n, 20)),
  CASE WHEN n % 25 = 0 THEN 'refund' ELSE 'purchase' END, CASE WHEN n % 25 = 0 THEN sk_purchase(n - 1) END,
  CASE WHEN n % 25 = 0 THEN -100 ELSE 100 + sk_pick('amount', n, 300000) / 100.0 END, 0, 0, 0, 'food',
  'receipt-' || n, md5('body' || n), 'till', '{"version": 1, "rules": []}', sk_at(n, 500000), sk_at(n, 500000), 1000 + n / 1000
FROM generate_series(1, 500000) n;

INSERT INTO coupons (id, created_at, updated_at, code, user_id, business_id, chain_id, offer_id, status, benefit, benefit_value,
  benefit_text, min_amount, valid_from, valid_until, issued_for)
SELECT sk_coupon(n), sk_at(n, 50000), now(), lpad(upper(to_hex(n)), 10, '0'), sk_member(1 + sk_pick('coupon', n, 10000)),
  sk_business(1 + sk_pick('target', n, 20)), CASE WHEN n % 20 > 0 THEN sk_chain(1 + n % 50) END,
  CASE WHEN n % 20 = 0 THEN sk_offer(1 + n % 100) END,
  (ARRAY['issued', 'redeemed', 'expired'])[1 + n % 3], 'percent', 10, '', 0, sk_at(n, 50000), sk_at(n, 50000) + interval '14 days',
  CASE WHEN n % 20 > 0 THEN sk_purchase(n * 10 - 1) END
FROM generate_series(1, 50000) n;
INSERT INTO coupon_campaigns (id, created_at, updated_at, business_id, title, reaches_everybody, tiers, segments, benefit,
  benefit_value, benefit_text, min_amount, valid_days, status, matched, expected, refused, issued, started_at, finished_at)
SELECT sk_id('2024-10-05 00:00+03', 'campaign', n), now(), now(), sk_business(1 + n % 20), 'Campaign ' || n, false, '{}', '{}', 'percent',
  10, '', 0, 14, 'issued', 500, 500, 0, 500, now(), now() FROM generate_series(1, 20) n;
INSERT INTO campaign_coupons (id, created_at, campaign_id, user_id, coupon_id)
SELECT sk_id(created_at, 'given', n), created_at, sk_id('2024-10-05 00:00+03', 'campaign', 1 + n % 20), user_id, id
FROM coupons, LATERAL (SELECT ('x' || substr(code, 3))::bit(32)::bigint AS n) number WHERE n % 5 = 0 ON CONFLICT DO NOTHING;
INSERT INTO offer_uses (id, created_at, offer_id, version, user_id, transaction_id, uses, bonuses, discount, day)
SELECT sk_id(created_at, 'use', n), created_at, sk_offer(1 + n % 100), 1, user_id, id, 1, 5, 0, created_at::date
FROM (SELECT *, CASE WHEN external_id LIKE 'receipt-%' THEN substr(external_id, 9)::bigint END AS n FROM transactions) t WHERE n % 5 = 1;
UPDATE transactions t SET coupon_id = sk_coupon(n) FROM generate_series(1, 50000, 3) n WHERE t.id = sk_purchase(n * 10 - 7);

-- Lots, entries and balances in one statement and chained as the ledger does it: each member's accruals
-- first, then what was spent of them, three lots of four.
WITH lot AS MATERIALIZED (
  SELECT *, sk_id(created_at, 'lot', n) AS lot_id, n % 4 = 0 AS live,
    row_number() OVER (PARTITION BY user_id ORDER BY n) AS place, count(*) OVER (PARTITION BY user_id) AS lots
  FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM transactions WHERE kind = 'purchase' AND external_id LIKE 'receipt-%') t
), spent AS MATERIALIZED (
  SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY n) AS turn FROM lot WHERE NOT live
), opened AS (
  INSERT INTO bonus_lots (id, created_at, user_id, issuer_id, transaction_id, kind, accrued, remaining, available_from, expires_at)
  SELECT lot_id, created_at, user_id, business_id, id, 'purchase', 10, CASE WHEN live THEN 10 ELSE 0 END, created_at,
    created_at + interval '365 days'
  FROM lot
), balances AS (
  INSERT INTO bonuses (id, created_at, updated_at, user_id, balance, pending, debt, expires_at, entries, turnover_bound)
  SELECT sk_id(now(), 'bonus', n), now(), now(), sk_member(n), 10 * coalesce(chain.live, 0), 0, 0, chain.expires_at,
    coalesce(chain.entries, 0), 0
  FROM generate_series(1, 10000) n
  LEFT JOIN (
    SELECT user_id, count(*) FILTER (WHERE live) AS live, 2 * count(*) - count(*) FILTER (WHERE live) AS entries,
      min(created_at) FILTER (WHERE live) + interval '365 days' AS expires_at
    FROM lot GROUP BY user_id
  ) chain ON chain.user_id = sk_member(n)
)
INSERT INTO bonus_entries (id, created_at, lot_id, user_id, kind, amount, transaction_id, honoured_by, recorded_at, sync_xid,
  position, total_after, debt_after)
SELECT sk_id(created_at, 'accrual', n), created_at, lot_id, user_id, 'accrual', 10, id, NULL, created_at, 1000 + n / 1000,
  place, 10 * place, 0
FROM lot
UNION ALL
SELECT sk_id(created_at + interval '30 days', 'spent', n), created_at + interval '30 days', lot_id, user_id, 'redemption', -10, id,
  sk_business(1 + sk_pick('honour', n, 20)), created_at, 1500 + n / 1000, lots + turn, 10 * (lots - turn), 0
FROM spent;

INSERT INTO bonus_holds (id, created_at, user_id, business_id, amount, expires_at, released_at)
SELECT sk_id(sk_at(n, 20000), 'hold', n), sk_at(n, 20000), sk_member(1 + sk_pick('hold', n, 10000)), sk_business(1 + n % 20), 10,
  sk_at(n, 20000) + interval '15 minutes', CASE WHEN n % 5 > 0 THEN sk_at(n, 20000) + interval '2 minutes' END
FROM generate_series(1, 20000) n;
INSERT INTO quotes (id, created_at, updated_at, business_id, user_id, coupon_id, hold_id, transaction_id, content, promised, holds,
  presence_shown, expires_at)
SELECT sk_id(sk_at(n, 20000), 'quote', n), sk_at(n, 20000), now(), sk_business(1 + n % 20), sk_member(1 + sk_pick('hold', n, 10000)),
  CASE WHEN n % 10 = 0 THEN sk_coupon(n) END, sk_id(sk_at(n, 20000), 'hold', n), CASE WHEN n % 5 > 0 THEN sk_purchase(n * 25 - 1) END,
  '{}', '{}', true, true, sk_at(n, 20000) + interval '15 minutes'
FROM generate_series(1, 20000) n;
INSERT INTO tier_changes (id, created_at, user_id, from_level, to_level, reason, turnover_rub, transaction_id)
SELECT sk_id(sk_at(n, 6000), 'tier', n), sk_at(n, 6000), sk_member(1 + sk_pick('tier', n, 10000)), 1 + n % 2, 2 - n % 2,
  CASE WHEN n % 2 = 0 THEN 'rise' ELSE 'review' END, 30000, CASE WHEN n % 2 = 0 THEN sk_purchase(n * 80 - 1) END
FROM generate_series(1, 6000) n;
INSERT INTO referrals (id, created_at, updated_at, inviter_id, newcomer_id, code, status, reason, transaction_id, settled_at)
SELECT sk_id(sk_at(n, 2000), 'invitation', n), sk_at(n, 2000), now(), sk_member(n * 5 - 1), sk_member(n * 5), 'R' || (n * 5 - 1),
  CASE WHEN n % 2 = 0 THEN 'rewarded' ELSE 'joined' END, '', CASE WHEN n % 2 = 0 THEN sk_purchase(n * 200 - 1) END,
  CASE WHEN n % 2 = 0 THEN sk_at(n, 2000) END
FROM generate_series(1, 2000) n;

INSERT INTO events (id, created_at, updated_at, organiser_id, business_id, title, description, place, date, status, bonus_reward, cover)
SELECT sk_event(n), sk_at(n, 200), now(), sk_member(1 + n % 50), CASE WHEN n % 3 > 0 THEN sk_business(1 + n % 20) END, 'Event ' || n, '', '',
  sk_at(n, 200) + interval '14 days', CASE WHEN n > 190 THEN 'published' ELSE 'finished' END, 0, ''
FROM generate_series(1, 200) n;
INSERT INTO event_registrations (id, created_at, updated_at, user_id, event_id, party_size, status, row_version, sync_xid)
SELECT sk_id(sk_at(n, 2000), 'registration', n), sk_at(n, 2000), now(), sk_member(1 + n * 3), sk_event(1 + n % 200), 1, 'registered', 1, 1000 + n / 20
FROM generate_series(1, 2000) n;

INSERT INTO notifications (id, created_at, updated_at, user_id, channel, purpose, partner_id, template, payload, status, dedupe_key,
  send_after, attempts, last_error)
SELECT sk_id(sk_at(n, 100000), 'notice', n), sk_at(n, 100000), now(), sk_member(1 + sk_pick('notice', n, 10000)), 'inapp', 'service',
  CASE WHEN n % 2 = 0 THEN sk_business(1 + n % 20) END, 'coupon', '{}', CASE WHEN n > 99800 THEN 'queued' ELSE 'sent' END, 'notice-' || n,
  sk_at(n, 100000), 0, ''
FROM generate_series(1, 100000) n;

INSERT INTO consents (id, created_at, user_id, purpose, channel, partner_id, granted, text_version, text_hash, language)
SELECT sk_id(sk_at(n, 60000), 'consent', n), sk_at(n, 60000), sk_member(1 + n % 10000), 'advertising',
  (ARRAY['inapp', 'sms', 'email', 'push'])[1 + n % 4], CASE WHEN n % 50 = 0 THEN sk_business(1 + n / 50 % 20) END, n % 5 > 0, '2026-11', '', 'ru'
FROM generate_series(1, 60000) n;

INSERT INTO crm_integrations (id, created_at, updated_at, business_id, provider, base_url, mapping, polling, cursor, failures, is_active, last_error)
SELECT sk_id('2026-01-01', 'crm', n), now(), now(), sk_business(n), 'till', '', '{}', '{}', '{}', 0, true, '' FROM generate_series(1, 20) n;
-- The fourth CRM has said nothing for long.
INSERT INTO crm_messages (id, created_at, updated_at, integration_id, digest, body, status, error, attempts, next_attempt_at, reference, results)
SELECT sk_id(sk_at(n, 50000), 'message', n), sk_at(n, 50000), now(), sk_id('2026-01-01', 'crm', 1 + CASE WHEN n > 10000 AND n % 20 = 3 THEN 4 ELSE n % 20 END), lpad(n::text, 64, '0'), '{}', 'applied',
  '', 1, CASE WHEN n % 500 = 0 THEN now() - interval '1 minute' END, 'receipt-' || n, '[]'
FROM generate_series(1, 50000) n;
INSERT INTO referral_codes (id, created_at, updated_at, user_id, code, invited_count, rewarded_count, monthly_limit, is_active)
SELECT sk_id(now(), 'referral', n), now(), now(), sk_member(n), 'R' || n, 0, 0, 10, true FROM generate_series(1, 10000) n;
INSERT INTO idempotency_keys (id, created_at, caller, key, call, fields, status, headers, answer)
SELECT sk_id(sk_at(n, 20000), 'kept', n), sk_at(n, 20000), 'key:' || sk_business(1 + n % 20), 'key-' || n, 'POST /api/v1/quotes', '{}', 201, '{}', ''
FROM generate_series(1, 20000) n;
INSERT INTO second_factors (id, created_at, updated_at, user_id, secret, last_step, recovery_codes)
SELECT sk_id(now(), 'factor', n), now(), now(), sk_member(n), '', 0, '{}' FROM generate_series(1, 1000) n;
INSERT INTO seen_contacts (id, created_at, digest)
SELECT sk_id(now(), 'seen', n), now(), md5('phone' || n) FROM generate_series(1, 10000) n;
INSERT INTO sessions (id, created_at, user_id, family, token_hash, user_agent, expires_at, reason)
SELECT sk_id(sk_at(n, 20000), 'session', n), sk_at(n, 20000), sk_member(1 + n % 10000), md5('family' || n % 10000)::uuid, md5('token' || n), '',
  sk_at(n, 20000) + interval '30 days', ''
FROM generate_series(1, 20000) n;
INSERT INTO audit_logs (id, created_at, table_name, row_id, action, actor_id, actor_kind, request_id, changes)
SELECT sk_id(sk_at(n, 1000000), 'audit', n), sk_at(n, 1000000), (ARRAY['coupons', 'users', 'businesses', 'cross_promo_chains'])[1 + n % 4],
  md5('row' || n % 100000)::uuid, 'UPDATE', sk_member(1 + sk_pick('actor', n, 300)), 'staff', '', '{}'
FROM generate_series(1, 1000000) n;

INSERT INTO chain_assignments (id, created_at, chain_id, user_id, trigger_id, arm, coupon_id, converted_id)
SELECT sk_id(sk_at(n, 50000), 'assignment', n), sk_at(n, 50000), sk_chain(1 + n % 50), sk_member(1 + sk_pick('coupon', n, 10000)),
  sk_purchase(n * 10 - 1), CASE WHEN n % 10 = 0 THEN 'control' ELSE 'treatment' END, CASE WHEN n % 10 > 0 THEN sk_coupon(n) END,
  CASE WHEN n % 6 = 1 AND n % 10 > 0 THEN sk_purchase(n * 10 - 7) END
FROM generate_series(1, 50000) n;
UPDATE chain_assignments SET due_at = created_at + interval '1 day', coupon_id = NULL WHERE coupon_id IS NOT NULL AND id > sk_id(sk_at(49900, 50000), 'assignment', 0);
INSERT INTO chain_versions (id, created_at, chain_id, version, terms, proposed_by, decision, decided_by, decided_at, reason)
SELECT sk_id(now(), 'version', n * 10 + v), now(), sk_chain(n), v, '{}', sk_member(n), CASE WHEN v < 3 THEN 'accepted' ELSE '' END,
  CASE WHEN v < 3 THEN sk_member(n + 1) END, CASE WHEN v < 3 THEN now() END, ''
FROM generate_series(1, 50) n, generate_series(1, 3) v;
INSERT INTO chain_cost_shares (id, created_at, transaction_id, chain_id, version, debtor_id, creditor_id, discount, amount)
SELECT sk_id(sk_at(n, 10000), 'share', n), sk_at(n, 10000), sk_purchase(n * 10), sk_chain(1 + n % 50), 1, sk_business(1 + n % 20),
  sk_business(1 + (n + 7) % 20), 100, 30
FROM generate_series(1, 10000) n;
INSERT INTO api_keys (id, created_at, updated_at, business_id, label, prefix, key_hash, scopes)
SELECT sk_id(now(), 'key', n), now(), now(), sk_business(1 + n % 20), '', 'sk_live_', md5('key' || n), '{}' FROM generate_series(1, 60) n;
UPDATE api_keys SET sandbox_id = sk_business(20) WHERE business_id = sk_business(3);
INSERT INTO sandbox_members (id, created_at, sandbox_id, user_id)
SELECT sk_id(now(), 'sandbox', n), now(), sk_business(1 + n % 20), sk_member(n) FROM generate_series(1, 80) n;
INSERT INTO staff_memberships (id, created_at, user_id, business_id, role)
SELECT sk_id(now(), 'staff', n), now(), sk_member(n), sk_business(1 + n % 20), 'cashier' FROM generate_series(1, 300) n;
INSERT INTO import_jobs (id, created_at, updated_at, business_id, started_by, file_name, profile, status, dry_run, "read", created,
  duplicates, rejected, refunds, parked, amount, error)
SELECT sk_job(n), sk_at(n, 2000), now(), sk_business(1 + n % 20), sk_member(1 + n % 100), 'till.csv', '', 'done', false, 0, 0, 0, 0, 0, 0, 0, ''
FROM generate_series(1, 2000) n;
INSERT INTO import_rejections (id, created_at, job_id, line, "column", code, reason, "row")
SELECT sk_id(now(), 'rejection', n), now(), sk_job(1 + n / 50), n, 'amount', 'invalid', 'not a number', '{}' FROM generate_series(1, 50000) n;
INSERT INTO parked_refunds (id, created_at, business_id, user_id, external_id, refund_of, amount, purchased_at, category, request_hash, source)
SELECT sk_id(now(), 'parked', n), now(), sk_business(1 + n % 20), sk_member(n), 'refund-' || n, 'later-' || n, 10, now(), '', '', 'till'
FROM generate_series(1, 2000) n;
INSERT INTO sync_windows (id, created_at, "table", from_xid, to_xid, system_identifier, status, rows, seconds)
SELECT sk_id(sk_at(n, 60000), 'window', n), sk_at(n, 60000), CASE WHEN n % 100 = 0 THEN 'event_facts' ELSE (ARRAY['transaction_facts', 'bonus_facts'])[1 + n % 2] END,
  n, n + 1, '1', 'done', 1, 0.1
FROM generate_series(1, 60000) n;
INSERT INTO sync_windows (id, created_at, "table", from_xid, to_xid, system_identifier, status)
VALUES (sk_id(now(), 'window', 0), now(), 'transaction_facts', 60001, 60002, '1', 'planned');
INSERT INTO reconciliations (id, created_at, "table", month, postgres_rows, clickhouse_rows, postgres_amount, clickhouse_amount, outcome)
SELECT sk_id(sk_at(n, 3000), 'reconciliation', n), sk_at(n, 3000), (ARRAY['transaction_facts', 'bonus_facts', 'event_facts'])[1 + n % 3],
  date '2024-12-01' + interval '1 month' * (n / 3 % 24), 1, 1, 1, 1, 'equal'
FROM generate_series(1, 3000) n;
INSERT INTO rfm_runs (id, created_at, snapshot_date, calculated_at, members, recency_cuts, frequency_cuts, monetary_cuts)
SELECT sk_id(now(), 'run', n), now(), date '2024-11-01' + n, now(), 0, '{}', '{}', '{}' FROM generate_series(1, 730) n;
INSERT INTO forecast_runs (id, created_at, business_id, until, calculated_at, horizon_days, customers, repeat_buyers, timing, spending)
SELECT sk_id(now(), 'forecast', n), now(), sk_business(n), date '2026-11-01', now(), 90, 0, 0, '{}', '{}' FROM generate_series(1, 20) n;
INSERT INTO webhook_endpoints (id, created_at, updated_at, business_id, url, description, events, secret, status)
SELECT sk_id('2026-01-01', 'endpoint', n), now(), now(), sk_business(1 + n % 20), 'https://example.com', '', '{}', '', 'active'
FROM generate_series(1, 40) n;
INSERT INTO webhook_events (id, created_at, business_id, type, object_id, data)
SELECT sk_id(sk_at(n, 50000), 'event', n), sk_at(n, 50000), sk_business(1 + n % 20), 'purchase.created', sk_purchase(n), '{}'
FROM generate_series(1, 50000) n;
INSERT INTO webhook_deliveries (id, created_at, updated_at, event_id, endpoint_id, object_id, status, attempts, next_attempt_at, answer)
SELECT sk_id(sk_at(n, 50000), 'delivery', n), sk_at(n, 50000), now(), sk_id(sk_at(n, 50000), 'event', n), sk_id('2026-01-01', 'endpoint', 1 + n % 20),
  sk_purchase(n), CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'delivered' END, 1, now(), ''
FROM generate_series(1, 50000) n;
