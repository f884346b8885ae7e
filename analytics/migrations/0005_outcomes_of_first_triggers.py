"""Tell of each trigger whether it is the member's first of the chain, until when its visits count, and what
the coupon cost."""

from django.db import migrations

CREATE = """
DROP VIEW export.chain_outcomes;

-- One row per trigger that drew an arm. Of the first of a member and chain also what the member did at the
-- target until `closes_at`: the rows that arms are compared by (docs/decisions/0014).
-- A visit is a purchase of which something is left after its refunds.
CREATE VIEW export.chain_outcomes AS
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
           COALESCE(sum(purchase.coupon_discount + returned.discount)
               FILTER (WHERE coupon.id IS NOT NULL), 0)::numeric(14, 2) AS discount,
           COALESCE(sum(round((purchase.coupon_discount + returned.discount)
               * chain.discount_share_percent / 100, 2)) FILTER (WHERE coupon.id IS NOT NULL), 0)
               ::numeric(14, 2) AS covered
    FROM transactions purchase
    LEFT JOIN coupons coupon ON coupon.id = purchase.coupon_id AND coupon.chain_id = chain.id
    CROSS JOIN LATERAL (
        SELECT COALESCE(sum(refund.amount), 0) AS amount,
               COALESCE(sum(refund.coupon_discount), 0) AS discount
        FROM transactions refund WHERE refund.refund_of = purchase.id
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
    dependencies = [("analytics", "0004_index_what_is_asked")]
    operations = [migrations.RunSQL(CREATE, migrations.RunSQL.noop)]
