"""Webhooks: events, endpoints, deliveries, and the tasks that carry them."""

from django.conf import settings
import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
import svoykrug.db.models
import svoykrug.db.triggers
import uuid_utils.compat
from django.db import migrations, models


def create_tasks(apps, schema_editor):
    interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    often, _ = interval.objects.get_or_create(every=10, period="seconds")
    nightly, _ = crontab.objects.get_or_create(
        minute="40", hour="3", day_of_week="*", day_of_month="*", month_of_year="*",
        timezone=settings.TIME_ZONE,
    )  # fmt: skip
    # A run that could not start within its ten seconds is another one's.
    task.objects.get_or_create(
        name="deliver_webhooks",
        defaults={"task": "deliver_webhooks", "interval": often, "expire_seconds": 10},
    )
    task.objects.get_or_create(
        name="forget_old_webhook_events", defaults={"task": "forget_old_webhook_events", "crontab": nightly}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("loyalty", "0015_consents"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("object_id", models.UUIDField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "on its way"),
                            ("delivered", "delivered"),
                            ("failed", "given up"),
                        ],
                        default="pending",
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="tries")),
                ("next_attempt_at", models.DateTimeField(verbose_name="next try")),
                ("answer_status", models.PositiveSmallIntegerField(null=True, verbose_name="HTTP status")),
                ("answer", models.TextField(blank=True, verbose_name="answer")),
                ("delivered_at", models.DateTimeField(null=True, verbose_name="delivered")),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "db_table": "webhook_deliveries",
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("url", models.CharField(max_length=500, verbose_name="address")),
                ("description", models.CharField(blank=True, max_length=120, verbose_name="what it is for")),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("purchase.created", "purchase"),
                                ("purchase.refunded", "refund"),
                                ("coupon.issued", "coupon issued"),
                                ("coupon.redeemed", "coupon redeemed"),
                                ("member.tier_changed", "tier changed"),
                                ("chain.proposed", "chain proposed"),
                                ("chain.accepted", "chain accepted"),
                                ("test.ping", "test"),
                            ],
                            max_length=32,
                        ),
                        default=list,
                        size=None,
                        verbose_name="events",
                    ),
                ),
                ("secret", models.BinaryField()),
                ("old_secret", models.BinaryField(null=True)),
                ("old_secret_until", models.DateTimeField(editable=False, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "active"),
                            ("paused", "paused"),
                            ("failing", "switched off: it did not answer"),
                        ],
                        default="active",
                        editable=False,
                        max_length=7,
                        verbose_name="status",
                    ),
                ),
                (
                    "failing_since",
                    models.DateTimeField(editable=False, null=True, verbose_name="no success since"),
                ),
                (
                    "last_success_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="last success"),
                ),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "webhooks",
                "db_table": "webhook_endpoints",
            },
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("purchase.created", "purchase"),
                            ("purchase.refunded", "refund"),
                            ("coupon.issued", "coupon issued"),
                            ("coupon.redeemed", "coupon redeemed"),
                            ("member.tier_changed", "tier changed"),
                            ("chain.proposed", "chain proposed"),
                            ("chain.accepted", "chain accepted"),
                            ("test.ping", "test"),
                        ],
                        max_length=32,
                        verbose_name="event",
                    ),
                ),
                ("object_id", models.UUIDField(verbose_name="of")),
                ("data", models.JSONField(verbose_name="content")),
            ],
            options={
                "verbose_name": "event for webhooks",
                "verbose_name_plural": "events for webhooks",
                "db_table": "webhook_events",
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="business",
            name="audit_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="business",
            name="audit_update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="business",
            name="audit_delete",
        ),
        migrations.AddField(
            model_name="business",
            name="has_webhooks",
            field=models.BooleanField(default=False, editable=False),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="business",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_insert",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="INSERT INTO public.audit_logs (table_name, row_id, action, changes) SELECT 'businesses', id, 'insert', jsonb_build_object('code', jsonb_build_array(NULL, \"code\"), 'name', jsonb_build_array(NULL, \"name\"), 'legal_name', jsonb_build_array(NULL, \"legal_name\"), 'inn', jsonb_build_array(NULL, \"inn\"), 'category', jsonb_build_array(NULL, \"category\"), 'address', jsonb_build_array(NULL, \"address\"), 'logo', jsonb_build_array(NULL, \"logo\"), 'is_active', jsonb_build_array(NULL, \"is_active\"), 'is_programme', jsonb_build_array(NULL, \"is_programme\"), 'can_accrue', jsonb_build_array(NULL, \"can_accrue\"), 'can_redeem', jsonb_build_array(NULL, \"can_redeem\"), 'point_price_rub', jsonb_build_array(NULL, \"point_price_rub\"), 'redemption_cap_percent', jsonb_build_array(NULL, \"redemption_cap_percent\"), 'pending_days', jsonb_build_array(NULL, \"pending_days\"), 'no_earn_categories', jsonb_build_array(NULL, \"no_earn_categories\"), 'requires_presence_code', jsonb_build_array(NULL, \"requires_presence_code\"), 'credit_limit_rub', jsonb_build_array(NULL, \"credit_limit_rub\"), 'stops_accrual_over_limit', jsonb_build_array(NULL, \"stops_accrual_over_limit\"), 'has_webhooks', jsonb_build_array(NULL, \"has_webhooks\")) FROM new_rows; RETURN NULL;",
                    hash="406eaffd135ca54dab831c7babef10fa554d13db",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_audit_insert_0ce57",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="businesses",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="business",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_update",
                sql=svoykrug.db.triggers.TriggerSql(
                    condition='WHEN (OLD."id" IS DISTINCT FROM NEW."id" OR OLD."created_at" IS DISTINCT FROM NEW."created_at" OR OLD."code" IS DISTINCT FROM NEW."code" OR OLD."name" IS DISTINCT FROM NEW."name" OR OLD."legal_name" IS DISTINCT FROM NEW."legal_name" OR OLD."inn" IS DISTINCT FROM NEW."inn" OR OLD."category" IS DISTINCT FROM NEW."category" OR OLD."address" IS DISTINCT FROM NEW."address" OR OLD."phone" IS DISTINCT FROM NEW."phone" OR OLD."logo" IS DISTINCT FROM NEW."logo" OR OLD."is_active" IS DISTINCT FROM NEW."is_active" OR OLD."is_programme" IS DISTINCT FROM NEW."is_programme" OR OLD."can_accrue" IS DISTINCT FROM NEW."can_accrue" OR OLD."can_redeem" IS DISTINCT FROM NEW."can_redeem" OR OLD."point_price_rub" IS DISTINCT FROM NEW."point_price_rub" OR OLD."redemption_cap_percent" IS DISTINCT FROM NEW."redemption_cap_percent" OR OLD."pending_days" IS DISTINCT FROM NEW."pending_days" OR OLD."no_earn_categories" IS DISTINCT FROM NEW."no_earn_categories" OR OLD."requires_presence_code" IS DISTINCT FROM NEW."requires_presence_code" OR OLD."credit_limit_rub" IS DISTINCT FROM NEW."credit_limit_rub" OR OLD."stops_accrual_over_limit" IS DISTINCT FROM NEW."stops_accrual_over_limit" OR OLD."has_webhooks" IS DISTINCT FROM NEW."has_webhooks")',
                    declare="DECLARE changed jsonb := '{}';",
                    func='IF OLD."id" IS DISTINCT FROM NEW."id" THEN changed = changed || jsonb_build_object(\'id\', jsonb_build_array(OLD."id", NEW."id")); END IF;\nIF OLD."created_at" IS DISTINCT FROM NEW."created_at" THEN changed = changed || jsonb_build_object(\'created_at\', jsonb_build_array(OLD."created_at", NEW."created_at")); END IF;\nIF OLD."code" IS DISTINCT FROM NEW."code" THEN changed = changed || jsonb_build_object(\'code\', jsonb_build_array(OLD."code", NEW."code")); END IF;\nIF OLD."name" IS DISTINCT FROM NEW."name" THEN changed = changed || jsonb_build_object(\'name\', jsonb_build_array(OLD."name", NEW."name")); END IF;\nIF OLD."legal_name" IS DISTINCT FROM NEW."legal_name" THEN changed = changed || jsonb_build_object(\'legal_name\', jsonb_build_array(OLD."legal_name", NEW."legal_name")); END IF;\nIF OLD."inn" IS DISTINCT FROM NEW."inn" THEN changed = changed || jsonb_build_object(\'inn\', jsonb_build_array(OLD."inn", NEW."inn")); END IF;\nIF OLD."category" IS DISTINCT FROM NEW."category" THEN changed = changed || jsonb_build_object(\'category\', jsonb_build_array(OLD."category", NEW."category")); END IF;\nIF OLD."address" IS DISTINCT FROM NEW."address" THEN changed = changed || jsonb_build_object(\'address\', jsonb_build_array(OLD."address", NEW."address")); END IF;\nIF OLD."phone" IS DISTINCT FROM NEW."phone" THEN changed = changed || \'{"phone": ["•••", "•••"]}\'; END IF;\nIF OLD."logo" IS DISTINCT FROM NEW."logo" THEN changed = changed || jsonb_build_object(\'logo\', jsonb_build_array(OLD."logo", NEW."logo")); END IF;\nIF OLD."is_active" IS DISTINCT FROM NEW."is_active" THEN changed = changed || jsonb_build_object(\'is_active\', jsonb_build_array(OLD."is_active", NEW."is_active")); END IF;\nIF OLD."is_programme" IS DISTINCT FROM NEW."is_programme" THEN changed = changed || jsonb_build_object(\'is_programme\', jsonb_build_array(OLD."is_programme", NEW."is_programme")); END IF;\nIF OLD."can_accrue" IS DISTINCT FROM NEW."can_accrue" THEN changed = changed || jsonb_build_object(\'can_accrue\', jsonb_build_array(OLD."can_accrue", NEW."can_accrue")); END IF;\nIF OLD."can_redeem" IS DISTINCT FROM NEW."can_redeem" THEN changed = changed || jsonb_build_object(\'can_redeem\', jsonb_build_array(OLD."can_redeem", NEW."can_redeem")); END IF;\nIF OLD."point_price_rub" IS DISTINCT FROM NEW."point_price_rub" THEN changed = changed || jsonb_build_object(\'point_price_rub\', jsonb_build_array(OLD."point_price_rub", NEW."point_price_rub")); END IF;\nIF OLD."redemption_cap_percent" IS DISTINCT FROM NEW."redemption_cap_percent" THEN changed = changed || jsonb_build_object(\'redemption_cap_percent\', jsonb_build_array(OLD."redemption_cap_percent", NEW."redemption_cap_percent")); END IF;\nIF OLD."pending_days" IS DISTINCT FROM NEW."pending_days" THEN changed = changed || jsonb_build_object(\'pending_days\', jsonb_build_array(OLD."pending_days", NEW."pending_days")); END IF;\nIF OLD."no_earn_categories" IS DISTINCT FROM NEW."no_earn_categories" THEN changed = changed || jsonb_build_object(\'no_earn_categories\', jsonb_build_array(OLD."no_earn_categories", NEW."no_earn_categories")); END IF;\nIF OLD."requires_presence_code" IS DISTINCT FROM NEW."requires_presence_code" THEN changed = changed || jsonb_build_object(\'requires_presence_code\', jsonb_build_array(OLD."requires_presence_code", NEW."requires_presence_code")); END IF;\nIF OLD."credit_limit_rub" IS DISTINCT FROM NEW."credit_limit_rub" THEN changed = changed || jsonb_build_object(\'credit_limit_rub\', jsonb_build_array(OLD."credit_limit_rub", NEW."credit_limit_rub")); END IF;\nIF OLD."stops_accrual_over_limit" IS DISTINCT FROM NEW."stops_accrual_over_limit" THEN changed = changed || jsonb_build_object(\'stops_accrual_over_limit\', jsonb_build_array(OLD."stops_accrual_over_limit", NEW."stops_accrual_over_limit")); END IF;\nIF OLD."has_webhooks" IS DISTINCT FROM NEW."has_webhooks" THEN changed = changed || jsonb_build_object(\'has_webhooks\', jsonb_build_array(OLD."has_webhooks", NEW."has_webhooks")); END IF;\nINSERT INTO public.audit_logs (table_name, row_id, action, changes) VALUES (\'businesses\', OLD.id, \'update\', changed); RETURN NULL;',
                    hash="47b0e64edfed024064ad3449c8933c931a7c225d",
                    operation="UPDATE",
                    pgid="pgtrigger_audit_update_1a1bb",
                    table="businesses",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="business",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_delete",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="INSERT INTO public.audit_logs (table_name, row_id, action, changes) VALUES ('businesses', OLD.id, 'delete', jsonb_build_object('code', jsonb_build_array(OLD.\"code\", NULL), 'name', jsonb_build_array(OLD.\"name\", NULL), 'legal_name', jsonb_build_array(OLD.\"legal_name\", NULL), 'inn', jsonb_build_array(OLD.\"inn\", NULL), 'category', jsonb_build_array(OLD.\"category\", NULL), 'address', jsonb_build_array(OLD.\"address\", NULL), 'logo', jsonb_build_array(OLD.\"logo\", NULL), 'is_active', jsonb_build_array(OLD.\"is_active\", NULL), 'is_programme', jsonb_build_array(OLD.\"is_programme\", NULL), 'can_accrue', jsonb_build_array(OLD.\"can_accrue\", NULL), 'can_redeem', jsonb_build_array(OLD.\"can_redeem\", NULL), 'point_price_rub', jsonb_build_array(OLD.\"point_price_rub\", NULL), 'redemption_cap_percent', jsonb_build_array(OLD.\"redemption_cap_percent\", NULL), 'pending_days', jsonb_build_array(OLD.\"pending_days\", NULL), 'no_earn_categories', jsonb_build_array(OLD.\"no_earn_categories\", NULL), 'requires_presence_code', jsonb_build_array(OLD.\"requires_presence_code\", NULL), 'credit_limit_rub', jsonb_build_array(OLD.\"credit_limit_rub\", NULL), 'stops_accrual_over_limit', jsonb_build_array(OLD.\"stops_accrual_over_limit\", NULL), 'has_webhooks', jsonb_build_array(OLD.\"has_webhooks\", NULL))); RETURN NULL;",
                    hash="1f36647a8aa93357c69ecb2eeacac5955065a57f",
                    operation="DELETE",
                    pgid="pgtrigger_audit_delete_59606",
                    table="businesses",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="business",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="webhook_endpoints",
                to="loyalty.business",
                verbose_name="business",
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="endpoint",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="loyalty.webhookendpoint",
                verbose_name="webhook",
            ),
        ),
        migrations.AddField(
            model_name="webhookevent",
            name="business",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="webhook_events",
                to="loyalty.business",
                verbose_name="business",
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="event",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="loyalty.webhookevent",
                verbose_name="event",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookendpoint",
            index=svoykrug.db.models.Index(
                fields=["business", "status"], name="idx_webhook_endpoints_business"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_insert",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="INSERT INTO public.audit_logs (table_name, row_id, action, changes) SELECT 'webhook_endpoints', id, 'insert', jsonb_build_object('business_id', jsonb_build_array(NULL, \"business_id\"), 'url', jsonb_build_array(NULL, \"url\"), 'description', jsonb_build_array(NULL, \"description\"), 'events', jsonb_build_array(NULL, \"events\"), 'status', jsonb_build_array(NULL, \"status\")) FROM new_rows; RETURN NULL;",
                    hash="703550eedf1d5c2ccf849eab5c34fa38707d11ea",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_audit_insert_ecbed",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="webhook_endpoints",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_update",
                sql=svoykrug.db.triggers.TriggerSql(
                    condition='WHEN (OLD."id" IS DISTINCT FROM NEW."id" OR OLD."created_at" IS DISTINCT FROM NEW."created_at" OR OLD."business_id" IS DISTINCT FROM NEW."business_id" OR OLD."url" IS DISTINCT FROM NEW."url" OR OLD."description" IS DISTINCT FROM NEW."description" OR OLD."events" IS DISTINCT FROM NEW."events" OR OLD."secret" IS DISTINCT FROM NEW."secret" OR OLD."old_secret" IS DISTINCT FROM NEW."old_secret" OR OLD."old_secret_until" IS DISTINCT FROM NEW."old_secret_until" OR OLD."status" IS DISTINCT FROM NEW."status" OR OLD."failing_since" IS DISTINCT FROM NEW."failing_since")',
                    declare="DECLARE changed jsonb := '{}';",
                    func='IF OLD."id" IS DISTINCT FROM NEW."id" THEN changed = changed || jsonb_build_object(\'id\', jsonb_build_array(OLD."id", NEW."id")); END IF;\nIF OLD."created_at" IS DISTINCT FROM NEW."created_at" THEN changed = changed || jsonb_build_object(\'created_at\', jsonb_build_array(OLD."created_at", NEW."created_at")); END IF;\nIF OLD."business_id" IS DISTINCT FROM NEW."business_id" THEN changed = changed || jsonb_build_object(\'business_id\', jsonb_build_array(OLD."business_id", NEW."business_id")); END IF;\nIF OLD."url" IS DISTINCT FROM NEW."url" THEN changed = changed || jsonb_build_object(\'url\', jsonb_build_array(OLD."url", NEW."url")); END IF;\nIF OLD."description" IS DISTINCT FROM NEW."description" THEN changed = changed || jsonb_build_object(\'description\', jsonb_build_array(OLD."description", NEW."description")); END IF;\nIF OLD."events" IS DISTINCT FROM NEW."events" THEN changed = changed || jsonb_build_object(\'events\', jsonb_build_array(OLD."events", NEW."events")); END IF;\nIF OLD."secret" IS DISTINCT FROM NEW."secret" THEN changed = changed || \'{"secret": ["•••", "•••"]}\'; END IF;\nIF OLD."old_secret" IS DISTINCT FROM NEW."old_secret" THEN changed = changed || \'{"old_secret": ["•••", "•••"]}\'; END IF;\nIF OLD."old_secret_until" IS DISTINCT FROM NEW."old_secret_until" THEN changed = changed || \'{"old_secret_until": ["•••", "•••"]}\'; END IF;\nIF OLD."status" IS DISTINCT FROM NEW."status" THEN changed = changed || jsonb_build_object(\'status\', jsonb_build_array(OLD."status", NEW."status")); END IF;\nIF OLD."failing_since" IS DISTINCT FROM NEW."failing_since" THEN changed = changed || \'{"failing_since": ["•••", "•••"]}\'; END IF;\nINSERT INTO public.audit_logs (table_name, row_id, action, changes) VALUES (\'webhook_endpoints\', OLD.id, \'update\', changed); RETURN NULL;',
                    hash="ddaeb73f8109e36cba5cf157601e7eb41e141aaf",
                    operation="UPDATE",
                    pgid="pgtrigger_audit_update_4427a",
                    table="webhook_endpoints",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_delete",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="INSERT INTO public.audit_logs (table_name, row_id, action, changes) VALUES ('webhook_endpoints', OLD.id, 'delete', jsonb_build_object('business_id', jsonb_build_array(OLD.\"business_id\", NULL), 'url', jsonb_build_array(OLD.\"url\", NULL), 'description', jsonb_build_array(OLD.\"description\", NULL), 'events', jsonb_build_array(OLD.\"events\", NULL), 'status', jsonb_build_array(OLD.\"status\", NULL))); RETURN NULL;",
                    hash="d2a39e3995ffce3388808f60ed7e6f827637653a",
                    operation="DELETE",
                    pgid="pgtrigger_audit_delete_0da1d",
                    table="webhook_endpoints",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="RAISE EXCEPTION 'Cannot truncate rows from % table', TG_TABLE_NAME;",
                    hash="bab1cbd849349143e0aa940ff37c429001cb1652",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_2cc39",
                    table="webhook_endpoints",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=svoykrug.db.models.Index(fields=["business", "id"], name="idx_webhook_events_business"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookevent",
            trigger=pgtrigger.compiler.Trigger(
                name="stay_as_written",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="RAISE EXCEPTION 'Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="035eba3af055c292216f61ef9020be75907ed165",
                    operation="UPDATE",
                    pgid="pgtrigger_stay_as_written_7a42d",
                    table="webhook_events",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookevent",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=svoykrug.db.triggers.TriggerSql(
                    func="RAISE EXCEPTION 'Cannot truncate rows from % table', TG_TABLE_NAME;",
                    hash="a673404e3e56bb3f208b40a33498f59e925362ef",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_0ba82",
                    table="webhook_events",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=svoykrug.db.models.Index(
                condition=models.Q(("status", "pending")),
                fields=["endpoint", "object_id", "event"],
                name="idx_webhook_deliveries_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=svoykrug.db.models.Index(
                models.F("endpoint"),
                models.OrderBy(models.F("created_at"), descending=True),
                name="idx_webhook_deliveries_endpoint",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.UniqueConstraint(
                fields=("event", "endpoint"), name="idx_webhook_deliveries_event"
            ),
        ),
        migrations.RunPython(create_tasks, migrations.RunPython.noop, elidable=False),
    ]
