"""Read what a chain's coupons cost from the rows that are settled: they tell the coupon's discount apart from an
offer's in the same bill, and the share that was agreed when the coupon came."""

from django.db import migrations

CREATE = """
CREATE OR REPLACE VIEW export.chain_outcomes AS
SELECT assignment.id AS assignment_id,
       floor(date_part('epoch', assignment.created_at))::bigint AS timestamp,
       chain.id AS chain_id, chain.source_business_id, chain.target_business_id,
       (assignment.arm = 'treatment')::int AS treated,
       (assignment.coupon_id IS NOT NULL)::int AS triggered,
       (assignment.coupon_id IS NOT NULL AND assignment.converted_id IS NOT NULL)::int AS converted,
       assignment.is_first::int AS is_first,
       ceil(date_part('epoch', assignment.created_at + chain.attribution_days * interval '1 day'))::bigint
           AS closes_at,
       (later.revenue > 0)::int AS visited,
       later.revenue, later.discount, later.covered
FROM (
    SELECT id, chain_id, user_id, arm, coupon_id, converted_id, created_at,
           row_number() OVER (PARTITION BY chain_id, user_id ORDER BY created_at, id) = 1 AS is_first
    FROM chain_assignments
    WHERE arm IN ('treatment', 'control')
) assignment
JOIN cross_promo_chains chain ON chain.id = assignment.chain_id
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(purchase.amount + returned.amount), 0)::numeric(14, 2) AS revenue,
           COALESCE(sum(share.discount + returned.discount), 0)::numeric(14, 2) AS discount,
           COALESCE(sum(share.amount + returned.covered), 0)::numeric(14, 2) AS covered
    FROM transactions purchase
    LEFT JOIN chain_cost_shares share ON share.transaction_id = purchase.id AND share.chain_id = chain.id
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(refund.amount), 0) AS amount,
               COALESCE(sum(back.discount), 0) AS discount,
               COALESCE(sum(back.amount), 0) AS covered
        FROM transactions refund
        LEFT JOIN chain_cost_shares back ON back.transaction_id = refund.id AND back.chain_id = chain.id
        WHERE refund.refund_of = purchase.id
    ) returned
    WHERE assignment.is_first
      AND purchase.user_id = assignment.user_id
      AND purchase.business_id = chain.target_business_id
      AND purchase.kind = 'purchase'
      AND purchase.created_at > assignment.created_at
      AND purchase.created_at <= assignment.created_at + chain.attribution_days * interval '1 day'
) later;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0005_outcomes_of_first_triggers"),
        ("promos", "0008_chain_versions_and_cost_shares"),
    ]
    operations = [migrations.RunSQL(CREATE, migrations.RunSQL.noop)]
