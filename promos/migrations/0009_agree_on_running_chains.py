"""Chains agreed so far get the version that was agreed; and the task of delayed coupons its row."""

from django.db import migrations

# Written out: a migration tells what was, not what the code says today.
FREEZE = """
    INSERT INTO chain_versions (
        id, created_at, chain_id, version, terms, proposed_by, decision, decided_by, decided_at, reason
    )
    SELECT uuid_v7(), coalesce(accepted_at, updated_at), id, version, jsonb_build_object(
            'continues_id', continues,
            'trigger_min_amount', trigger_min_amount::text,
            'trigger_categories', trigger_categories,
            'trigger_tiers', trigger_tiers,
            'trigger_weekdays', trigger_weekdays,
            'trigger_first_purchase', trigger_first_purchase,
            'exclude_target_customers_days', exclude_target_customers_days,
            'coupon_benefit', coupon_benefit,
            'coupon_value', coupon_value::text,
            'coupon_text', coupon_text,
            'coupon_min_amount', coupon_min_amount::text,
            'coupon_valid_days', coupon_valid_days,
            'delay_hours', delay_hours,
            'budget_rub', budget_rub::text,
            'total_limit', total_limit,
            'daily_limit', daily_limit,
            'discount_share_percent', discount_share_percent::text,
            'holdout_percent', holdout_percent::text,
            'attribution_days', attribution_days
        ), accepted_by, 'accepted', accepted_by, accepted_at, ''
    FROM cross_promo_chains WHERE accepted_by IS NOT NULL AND accepted_at IS NOT NULL
"""
# Whoever had proposed is not known any more, and without an asker nobody can answer.
WITHDRAW = "UPDATE cross_promo_chains SET status = 'draft' WHERE status = 'proposed'"
# Until now it was the target's to go on with a paused chain.
PAUSED = "UPDATE cross_promo_chains SET paused_side = 'target' WHERE status = 'paused'"
REASONS = "UPDATE chain_assignments SET reason = 'already_customer' WHERE arm = 'skipped'"
VERSIONS = """
    UPDATE coupons SET chain_version = c.version FROM cross_promo_chains c WHERE c.id = coupons.chain_id
"""


def create_task(apps, schema_editor):
    interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    every_five_minutes, _ = interval.objects.get_or_create(every=5, period="minutes")
    name = "issue_delayed_coupons"
    # A run that could not start in five minutes is overtaken by the next one.
    defaults = {"task": name, "interval": every_five_minutes, "expire_seconds": 300}
    task.objects.get_or_create(name=name, defaults=defaults)


class Migration(migrations.Migration):
    dependencies = [
        ("promos", "0008_chain_versions_and_cost_shares"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [
        *(
            migrations.RunSQL(sql, migrations.RunSQL.noop)
            for sql in (FREEZE, WITHDRAW, PAUSED, REASONS, VERSIONS)
        ),
        migrations.RunPython(create_task, migrations.RunPython.noop, elidable=False),
    ]
