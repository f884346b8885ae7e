-- One statement for the whole state: name of the gauge, values of its labels, value. A gauge without rows says nothing.
SELECT 'webhook_deliveries_pending', '{}'::text[], count(*)::float8
FROM webhook_deliveries WHERE status = 'pending'
UNION ALL
SELECT 'webhook_oldest_pending_seconds', '{}', coalesce(extract(epoch FROM now() - min(created_at)), 0)
FROM webhook_deliveries WHERE status = 'pending'
UNION ALL
SELECT 'webhook_endpoints_failing', '{}', count(*) FROM webhook_endpoints WHERE status = 'failing'
UNION ALL
SELECT 'notifications_due', ARRAY[channel], count(*)
FROM notifications WHERE status = 'queued' AND send_after <= now() GROUP BY channel
UNION ALL
SELECT 'notifications_oldest_due_seconds', ARRAY[channel], extract(epoch FROM now() - min(send_after))
FROM notifications WHERE status = 'queued' AND send_after <= now() GROUP BY channel
UNION ALL
SELECT 'crm_messages_due', '{}', count(*) FROM crm_messages WHERE next_attempt_at <= now()
UNION ALL
SELECT 'parked_refunds', '{}', count(*) FROM parked_refunds
UNION ALL
SELECT 'parked_refunds_overdue', '{}', count(*)
FROM parked_refunds WHERE created_at <= now() - make_interval(days => %(parked_days)s)
UNION ALL
-- Keys are in the order of time, so the last minutes are the end of one index.
SELECT 'recent_purchases', ARRAY[t.kind, t.source], count(*)
FROM transactions t JOIN businesses b ON b.id = t.business_id AND NOT b.is_sandbox
WHERE t.id >= %(recent)s GROUP BY t.kind, t.source
UNION ALL
SELECT 'sync_age_seconds', ARRAY[f."table"], extract(epoch FROM now() - w.created_at)
FROM unnest(%(facts)s::text[]) AS f("table") CROSS JOIN LATERAL (
    SELECT created_at FROM sync_windows
    WHERE "table" = f."table" AND status = 'done' ORDER BY id DESC LIMIT 1
) w
UNION ALL
SELECT 'sync_last_window_rows', ARRAY[f."table"], w.rows
FROM unnest(%(facts)s::text[]) AS f("table") CROSS JOIN LATERAL (
    SELECT coalesce(rows, 0) AS rows FROM sync_windows
    WHERE "table" = f."table" AND status = 'done' ORDER BY id DESC LIMIT 1
) w
UNION ALL
SELECT 'sync_windows_unacknowledged', '{}', count(*) FROM sync_windows WHERE status = 'planned'
UNION ALL
SELECT 'sync_horizon_held_seconds', '{}', coalesce(max(extract(epoch FROM now() - xact_start)), 0)
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = current_database()
UNION ALL
SELECT 'reconciliation_months_differing', ARRAY[f."table"], count(r.outcome)
FROM unnest(%(facts)s::text[]) AS f("table") LEFT JOIN (
    SELECT DISTINCT ON ("table", month) "table", outcome
    FROM reconciliations ORDER BY "table", month, created_at DESC
) r ON r."table" = f."table" AND r.outcome = 'differs' GROUP BY f."table"
UNION ALL
SELECT 'reconciliation_age_seconds', '{}', extract(epoch FROM now() - max(created_at))
FROM reconciliations HAVING max(created_at) IS NOT NULL
UNION ALL
SELECT 'job_scheduled', ARRAY[task], 1 FROM django_celery_beat_periodictask WHERE enabled GROUP BY task
