"""What test keys do in sandboxes never reaches ClickHouse (decision 0025).

The sandboxes are read once a query, as a hashed list of a few rows. Chains and events have none.
"""

from django.db import migrations

TRANSACTION_FACTS = """
CREATE OR REPLACE VIEW export.transaction_facts AS
SELECT id AS transaction_id, user_id, business_id, amount, bonus_accrued, category,
       floor(date_part('epoch', created_at))::bigint AS timestamp,
       kind, COALESCE(refund_of, id) AS receipt_id, bonus_redeemed, coupon_discount,
       1::bigint AS version, sync_xid
FROM transactions
"""
BONUS_FACTS = """
CREATE OR REPLACE VIEW export.bonus_facts AS
SELECT entry.id AS entry_id, entry.lot_id, entry.user_id, lot.issuer_id AS issuer_business_id,
       COALESCE(entry.honoured_by, '00000000-0000-0000-0000-000000000000') AS honoured_business_id,
       entry.kind, entry.amount, floor(date_part('epoch', entry.created_at))::bigint AS timestamp,
       1::bigint AS version, entry.sync_xid
FROM bonus_entries entry JOIN bonus_lots lot ON lot.id = entry.lot_id
"""
OURS = "WHERE {business} NOT IN (SELECT id FROM businesses WHERE is_sandbox);"


class Migration(migrations.Migration):
    dependencies = [("analytics", "0010_schedule_forecasts"), ("loyalty", "0021_sandboxes")]
    operations = [
        migrations.RunSQL(TRANSACTION_FACTS + OURS.format(business="business_id"), TRANSACTION_FACTS),
        migrations.RunSQL(BONUS_FACTS + OURS.format(business="lot.issuer_id"), BONUS_FACTS),
    ]
