-- Index → the query it is there for, run by tests/explain.py; docs/database.md says in words what asks it.
-- sk_…(n) are the ids of explain.sql.

-- idx_api_keys_business
SELECT * FROM api_keys WHERE business_id = sk_business(4);

-- idx_api_keys_key_hash
SELECT * FROM api_keys WHERE key_hash = md5('key7');

-- idx_api_keys_sandbox
SELECT 1 FROM api_keys WHERE sandbox_id = sk_business(20);

-- idx_audit_logs_actor
SELECT * FROM audit_logs WHERE actor_id = sk_member(42) AND actor_kind IN ('member', 'staff') ORDER BY created_at DESC LIMIT 50;

-- idx_audit_logs_row
SELECT * FROM audit_logs WHERE table_name = 'users' AND row_id = md5('row77')::uuid ORDER BY created_at DESC;

-- idx_bonus_entries_honoured_by
SELECT kind, sum(amount) FROM bonus_entries WHERE honoured_by = sk_business(4) GROUP BY kind;

-- idx_bonus_entries_lot
SELECT * FROM bonus_entries WHERE lot_id = (SELECT id FROM bonus_lots WHERE transaction_id = sk_purchase(77));

-- idx_bonus_entries_sync_xid
SELECT * FROM bonus_entries WHERE sync_xid >= 1200 AND sync_xid < 1203;

-- idx_bonus_entries_transaction
SELECT * FROM bonus_entries WHERE transaction_id = sk_purchase(77);

-- idx_bonus_entries_user_created
SELECT * FROM bonus_entries WHERE user_id = sk_member(42) ORDER BY created_at DESC LIMIT 20;

-- idx_bonus_entries_user_position
SELECT * FROM bonus_entries WHERE user_id = sk_member(42) AND position = 7;

-- idx_bonus_holds_business
SELECT * FROM bonus_holds WHERE business_id = sk_business(4);

-- idx_bonus_holds_user
SELECT id, amount FROM bonus_holds WHERE user_id = sk_member(42) AND released_at IS NULL AND expires_at > '2026-06-01';

-- idx_bonus_lots_issuer
SELECT sum(remaining) FROM bonus_lots WHERE issuer_id = sk_business(4);

-- idx_bonus_lots_transaction
SELECT * FROM bonus_lots WHERE transaction_id = sk_purchase(77);

-- idx_bonus_lots_user
SELECT * FROM bonus_lots WHERE user_id = sk_member(42);

-- idx_bonus_lots_user_left
SELECT * FROM bonus_lots WHERE user_id = sk_member(42) AND remaining > 0 AND expires_at <= '2026-01-01';

-- idx_bonuses_expires
SELECT user_id FROM bonuses WHERE expires_at <= '2025-11-05 00:00+03';

-- idx_bonuses_user
SELECT * FROM bonuses WHERE user_id = sk_member(42);

-- idx_businesses_code
SELECT * FROM businesses WHERE code = 'B04';

-- idx_campaign_coupons_campaign
SELECT 1 FROM campaign_coupons WHERE campaign_id = sk_id('2024-10-05 00:00+03', 'campaign', 3) AND user_id = sk_member(42);

-- idx_campaign_coupons_coupon
SELECT campaign_id FROM campaign_coupons WHERE coupon_id = sk_coupon(45);

-- idx_campaign_coupons_user
SELECT * FROM campaign_coupons WHERE user_id = sk_member(42);

-- idx_chain_assignments_chain
SELECT arm, count(*) FROM chain_assignments WHERE chain_id = sk_chain(7) AND created_at >= '2026-10-01' GROUP BY arm;

-- idx_chain_assignments_converted
SELECT * FROM chain_assignments WHERE converted_id = sk_purchase(63);

-- idx_chain_assignments_coupon
SELECT * FROM chain_assignments WHERE coupon_id = sk_coupon(7);

-- idx_chain_assignments_due
SELECT * FROM chain_assignments WHERE due_at <= '2026-11-01' ORDER BY due_at LIMIT 500;

-- idx_chain_assignments_trigger
SELECT * FROM chain_assignments WHERE trigger_id = sk_purchase(69);

-- idx_chain_assignments_user
SELECT * FROM chain_assignments WHERE user_id = sk_member(42);

-- idx_consents_partner
SELECT * FROM consents WHERE partner_id = sk_business(4);

-- idx_consents_user
SELECT m.id FROM unnest(ARRAY[sk_member(42), sk_member(43), sk_member(44)]) AS m(id) WHERE COALESCE((SELECT consent.granted FROM consents consent WHERE consent.user_id = m.id AND consent.purpose = 'advertising' AND consent.channel = 'inapp' AND (consent.partner_id IS NULL OR consent.partner_id = sk_business(4)) ORDER BY consent.partner_id IS NULL, consent.id DESC LIMIT 1), false);

-- idx_coupon_campaigns_business
SELECT * FROM coupon_campaigns WHERE business_id = sk_business(4);

-- idx_coupon_campaigns_issuing
SELECT id FROM coupon_campaigns WHERE status = 'issuing';

-- idx_coupons_business
SELECT * FROM coupons WHERE business_id = sk_business(4) ORDER BY created_at DESC LIMIT 50;

-- idx_chain_cost_shares_chain
SELECT sum(discount) FROM chain_cost_shares WHERE chain_id = sk_chain(7) AND created_at >= '2026-10-01';

-- idx_chain_cost_shares_creditor
SELECT * FROM chain_cost_shares WHERE creditor_id = sk_business(4) AND created_at >= '2026-10-01';

-- idx_chain_cost_shares_debtor
SELECT * FROM chain_cost_shares WHERE debtor_id = sk_business(4) AND created_at >= '2026-10-01';

-- idx_chain_cost_shares_transaction
SELECT * FROM chain_cost_shares WHERE transaction_id = sk_purchase(20);

-- idx_chain_versions_chain
SELECT * FROM chain_versions WHERE chain_id = sk_chain(7) AND version = 1;

-- idx_chain_versions_decided
SELECT * FROM chain_versions WHERE decided_by = sk_member(7);

-- idx_chain_versions_open
SELECT * FROM chain_versions WHERE chain_id = sk_chain(7) AND decision = '';

-- idx_chain_versions_proposed
SELECT * FROM chain_versions WHERE proposed_by = sk_member(7);

-- idx_coupons_chain_user
SELECT 1 FROM coupons WHERE chain_id = sk_chain(8) AND user_id = sk_member(42) AND status = 'issued';

-- idx_coupons_code
SELECT * FROM coupons WHERE code = '0000000FFF';

-- idx_coupons_issued_for
SELECT code FROM coupons WHERE issued_for = sk_purchase(69);

-- idx_coupons_offer
SELECT status, count(*) FROM coupons WHERE offer_id = sk_offer(21) GROUP BY status;

-- idx_coupons_user
SELECT * FROM coupons WHERE user_id = sk_member(42) AND status = 'issued' ORDER BY valid_until;

-- idx_crm_integrations_business
SELECT * FROM crm_integrations WHERE business_id = sk_business(4);

-- idx_cross_promo_chains_accepted
SELECT * FROM cross_promo_chains WHERE accepted_by = sk_member(7);

-- idx_cross_promo_chains_continues
SELECT * FROM cross_promo_chains WHERE continues = sk_chain(9);

-- idx_cross_promo_chains_source
SELECT * FROM cross_promo_chains WHERE source_business_id = sk_business(4) AND status = 'active';

-- idx_cross_promo_chains_target
SELECT * FROM cross_promo_chains WHERE target_business_id = sk_business(4) AND status = 'proposed';

-- idx_event_registrations_event
SELECT * FROM event_registrations WHERE event_id = sk_event(7) AND status = 'registered' ORDER BY created_at;

-- idx_event_registrations_sync_xid
SELECT * FROM event_registrations WHERE sync_xid >= 1050 AND sync_xid < 1052;

-- idx_event_registrations_user
SELECT * FROM event_registrations WHERE user_id = sk_member(43);

-- idx_events_business
SELECT * FROM events WHERE business_id = sk_business(4);

-- idx_events_date
SELECT * FROM events WHERE status = 'published' AND date >= '2026-11-01' ORDER BY date LIMIT 10;

-- idx_events_organiser
SELECT * FROM events WHERE organiser_id = sk_member(7);

-- idx_events_status
SELECT * FROM events WHERE status = 'pending';

-- idx_import_jobs_business
SELECT * FROM import_jobs WHERE business_id = sk_business(4);

-- idx_import_jobs_started_by
SELECT * FROM import_jobs WHERE started_by = sk_member(42);

-- idx_import_rejections_job
SELECT * FROM import_rejections WHERE job_id = sk_job(7) ORDER BY line LIMIT 100;

-- idx_notifications_dedupe_key
SELECT 1 FROM notifications WHERE dedupe_key = 'notice-77';

-- idx_notifications_partner
SELECT count(*) FROM notifications WHERE partner_id = sk_business(5);

-- idx_notifications_queue
SELECT * FROM notifications WHERE status = 'queued' AND send_after <= now() ORDER BY send_after LIMIT 100;

-- idx_notifications_user
SELECT * FROM notifications WHERE user_id = sk_member(42) ORDER BY created_at DESC LIMIT 20;

-- idx_member_segments_user
SELECT user_id, segment FROM member_segments WHERE user_id = ANY (ARRAY[sk_member(42), sk_member(43)]);

-- idx_offer_constructor_business
SELECT * FROM offer_constructor WHERE business_id = sk_business(4) AND status = 'published';

-- idx_offer_uses_offer
SELECT * FROM offer_uses WHERE offer_id = sk_offer(7) ORDER BY created_at DESC LIMIT 50;

-- idx_offer_uses_transaction
SELECT * FROM offer_uses WHERE transaction_id = sk_purchase(76);

-- idx_offer_uses_user
SELECT user_id, offer_id, day, sum(uses) FROM offer_uses WHERE user_id = sk_member(42) AND offer_id = ANY (ARRAY[sk_offer(7), sk_offer(8)]) GROUP BY 1, 2, 3;

-- idx_offer_versions_offer
SELECT * FROM offer_versions WHERE offer_id = sk_offer(7) AND number = 1;

-- idx_forecast_runs_business
SELECT * FROM forecast_runs WHERE business_id = sk_business(7);

-- idx_idempotency_keys_caller_key
SELECT call, fields, status, headers, answer FROM idempotency_keys WHERE caller = 'key:' || sk_business(8) AND key = 'key-7' AND created_at > '2020-01-01';
-- idx_idempotency_keys_created
SELECT id FROM idempotency_keys WHERE created_at <= (SELECT min(created_at) FROM idempotency_keys) ORDER BY created_at LIMIT 5000;
-- idx_parked_refunds_external
SELECT * FROM parked_refunds WHERE business_id = ANY(ARRAY[sk_business(8)]) AND (external_id = ANY(ARRAY['refund-7']) OR refund_of = ANY(ARRAY['refund-7'])) ORDER BY purchased_at, id;

-- idx_parked_refunds_purchase
SELECT * FROM parked_refunds WHERE business_id = ANY(ARRAY[sk_business(8)]) AND (external_id = ANY(ARRAY['later-7']) OR refund_of = ANY(ARRAY['later-7'])) ORDER BY purchased_at, id;

-- idx_parked_refunds_user
SELECT * FROM parked_refunds WHERE user_id = sk_member(42);

-- idx_quotes_business
SELECT * FROM quotes WHERE business_id = sk_business(4);

-- idx_quotes_coupon
SELECT id, expires_at FROM quotes WHERE coupon_id = sk_coupon(10) AND transaction_id IS NULL AND cancelled_at IS NULL AND expires_at > '2026-06-01' AND holds;

-- idx_quotes_hold
SELECT * FROM quotes WHERE hold_id = sk_id(sk_at(7, 20000), 'hold', 7);

-- idx_quotes_transaction
SELECT * FROM quotes WHERE transaction_id = sk_purchase(24);

-- idx_quotes_user
SELECT * FROM quotes WHERE user_id = sk_member(42);

-- idx_referral_codes_code
SELECT * FROM referral_codes WHERE code = 'R42';

-- idx_referral_codes_user
SELECT * FROM referral_codes WHERE user_id = sk_member(42);

-- idx_reconciliations_month
SELECT DISTINCT ON ("table", month) * FROM reconciliations ORDER BY "table", month, created_at DESC;

-- idx_referrals_inviter
SELECT status, settled_at FROM referrals WHERE inviter_id = sk_member(49) ORDER BY settled_at DESC;

-- idx_referrals_newcomer
SELECT * FROM referrals WHERE newcomer_id = sk_member(50);

-- idx_referrals_transaction
SELECT * FROM referrals WHERE transaction_id = sk_purchase(399);

-- idx_rfm_runs_date
SELECT * FROM rfm_runs ORDER BY snapshot_date DESC, calculated_at DESC LIMIT 1;

-- idx_sandbox_members_sandbox
SELECT user_id FROM sandbox_members WHERE sandbox_id = sk_business(4);

-- idx_sandbox_members_user
SELECT sandbox_id FROM sandbox_members WHERE user_id = sk_member(42);

-- idx_second_factors_user
SELECT * FROM second_factors WHERE user_id = sk_member(43);

-- idx_seen_contacts_digest
SELECT id FROM seen_contacts WHERE digest = md5('phone77');

-- idx_sessions_token_hash
SELECT * FROM sessions WHERE token_hash = md5('token77');

-- idx_sessions_user_family
SELECT * FROM sessions WHERE user_id = sk_member(43) AND family = md5('family42')::uuid;

-- idx_staff_memberships_business
SELECT * FROM staff_memberships WHERE business_id = sk_business(4) ORDER BY role;

-- idx_staff_memberships_user_business
SELECT business_id FROM staff_memberships WHERE user_id = sk_member(42);

-- idx_status_tiers_level
SELECT * FROM status_tiers WHERE level = 1;

-- idx_sync_windows_planned
SELECT * FROM sync_windows WHERE "table" = 'transaction_facts' AND status = 'planned';

-- idx_sync_windows_table
SELECT * FROM sync_windows WHERE "table" = 'event_facts' ORDER BY id DESC LIMIT 1;

-- idx_tier_changes_transaction
SELECT * FROM tier_changes WHERE transaction_id = sk_purchase(159);

-- idx_tier_changes_user
SELECT * FROM tier_changes WHERE user_id = sk_member(42) ORDER BY created_at DESC;

-- idx_transactions_business
SELECT * FROM transactions WHERE business_id = sk_business(4) ORDER BY created_at DESC LIMIT 50;

-- idx_transactions_coupon
SELECT * FROM transactions WHERE coupon_id = sk_coupon(7);

-- idx_transactions_external_id
SELECT * FROM transactions WHERE external_id = 'receipt-77';

-- idx_transactions_external_unique
SELECT t.* FROM unnest(ARRAY(SELECT business_id FROM transactions WHERE id IN (sk_purchase(77), sk_purchase(78))), '{receipt-77,receipt-78}'::text[]) r(business_id, external_id) JOIN transactions t USING (business_id, external_id);

-- idx_transactions_refund_of
SELECT sum(amount) FROM transactions WHERE refund_of = sk_purchase(74);

-- idx_transactions_sync_xid
SELECT * FROM transactions WHERE sync_xid >= 1200 AND sync_xid < 1201;

-- idx_transactions_user_created
SELECT * FROM transactions WHERE user_id = sk_member(42) ORDER BY created_at DESC LIMIT 20;

-- idx_users_card_number
SELECT id FROM users WHERE card_number = ANY ('{card-7,card-77,card-777}');

-- idx_users_phone
SELECT * FROM users WHERE phone = '+79000000042';

-- idx_users_referral_code
SELECT id FROM users WHERE referral_code = 'R42';

-- idx_users_referred_by
SELECT id FROM users WHERE referred_by = sk_member(44);

-- idx_users_status_tier
SELECT count(*) FROM users WHERE status_tier = (SELECT id FROM status_tiers WHERE level = 4);

-- idx_crm_messages_digest
SELECT id FROM crm_messages WHERE integration_id = sk_id('2026-01-01', 'crm', 4) AND digest = lpad('77', 64, '0');

-- idx_crm_messages_due
SELECT id FROM crm_messages WHERE next_attempt_at <= now() ORDER BY next_attempt_at, id LIMIT 200;

-- idx_crm_messages_integration
SELECT * FROM crm_messages WHERE integration_id = sk_id('2026-01-01', 'crm', 4) ORDER BY id DESC LIMIT 50;

-- idx_webhook_deliveries_endpoint
SELECT * FROM webhook_deliveries WHERE endpoint_id = sk_id('2026-01-01', 'endpoint', 7) ORDER BY created_at DESC LIMIT 50;

-- idx_webhook_deliveries_event
SELECT * FROM webhook_deliveries WHERE event_id = (SELECT id FROM webhook_events LIMIT 1);

-- idx_webhook_deliveries_queue
SELECT * FROM webhook_deliveries d WHERE d.status = 'pending' AND d.endpoint_id = (SELECT id FROM webhook_endpoints LIMIT 1) AND NOT EXISTS (SELECT FROM webhook_deliveries e WHERE e.status = 'pending' AND e.endpoint_id = d.endpoint_id AND e.object_id = d.object_id AND e.event_id < d.event_id) ORDER BY event_id LIMIT 1;

-- idx_webhook_endpoints_business
SELECT * FROM webhook_endpoints WHERE business_id = sk_business(4) AND status = 'active';

-- idx_webhook_events_business
SELECT * FROM webhook_events WHERE business_id = sk_business(4) AND id > sk_purchase(77);
