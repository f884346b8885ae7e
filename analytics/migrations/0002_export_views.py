"""The only things ClickHouse may read: the views of the schema `export`.

Times leave as whole seconds since 1970: text would be read in whatever zone the reading server has, which
was measured to move a row by three hours and into another month. Money is numeric(14,2) in the tables
already, so it arrives as Decimal(14, 2). Transaction ids are bigint: xid8 would arrive as a string.
"""

from django.db import migrations

CREATE = """
CREATE SCHEMA export;

CREATE VIEW export.transaction_facts AS
SELECT id AS transaction_id, user_id, business_id, amount, bonus_accrued, category,
       floor(date_part('epoch', created_at))::bigint AS timestamp,
       kind, COALESCE(refund_of, id) AS receipt_id, bonus_redeemed, coupon_discount,
       1::bigint AS version, sync_xid
FROM transactions;

CREATE VIEW export.bonus_facts AS
SELECT entry.id AS entry_id, entry.lot_id, entry.user_id, lot.issuer_id AS issuer_business_id,
       COALESCE(entry.honoured_by, '00000000-0000-0000-0000-000000000000') AS honoured_business_id,
       entry.kind, entry.amount, floor(date_part('epoch', entry.created_at))::bigint AS timestamp,
       1::bigint AS version, entry.sync_xid
FROM bonus_entries entry JOIN bonus_lots lot ON lot.id = entry.lot_id;

CREATE VIEW export.event_facts AS
SELECT registration.id AS registration_id, registration.event_id, registration.user_id,
       COALESCE(event.business_id, '00000000-0000-0000-0000-000000000000') AS business_id,
       registration.status, registration.party_size,
       floor(date_part('epoch', registration.created_at))::bigint AS timestamp,
       registration.row_version AS version, registration.sync_xid
FROM event_registrations registration JOIN events event ON event.id = registration.event_id;

-- One row per trigger that fell into an arm, with what the member did at the target afterwards.
-- A visit is a purchase of which something is left after its refunds.
CREATE VIEW export.chain_outcomes AS
SELECT assignment.id AS assignment_id,
       floor(date_part('epoch', assignment.created_at))::bigint AS timestamp,
       chain.source_business_id, chain.target_business_id,
       (assignment.arm = 'treatment')::int AS treated,
       (assignment.coupon_id IS NOT NULL)::int AS triggered,
       (assignment.coupon_id IS NOT NULL AND assignment.converted_id IS NOT NULL)::int AS converted,
       (later.revenue > 0)::int AS visited,
       later.revenue
FROM chain_assignments assignment
JOIN cross_promo_chains chain ON chain.id = assignment.chain_id
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(purchase.amount + returned.amount), 0)::numeric(14, 2) AS revenue
    FROM transactions purchase
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(refund.amount), 0) AS amount
        FROM transactions refund WHERE refund.refund_of = purchase.id
    ) returned
    WHERE purchase.user_id = assignment.user_id
      AND purchase.business_id = chain.target_business_id
      AND purchase.kind = 'purchase'
      AND purchase.created_at > assignment.created_at
      AND purchase.created_at <= assignment.created_at + chain.attribution_days * interval '1 day'
) later
WHERE assignment.arm IN ('treatment', 'control');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0001_initial"),
        ("loyalty", "0003_reference_rows"),
        ("promos", "0001_initial"),
        ("events", "0002_initial"),
    ]
    operations = [migrations.RunSQL(CREATE, "DROP SCHEMA export CASCADE")]
