"""The three scheduled tasks, under their given names. Later changes are the operators', in the admin."""

from django.conf import settings
from django.db import migrations


def create(apps, schema_editor):
    interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")

    every_five_minutes, _ = interval.objects.get_or_create(every=5, period="minutes")
    night = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": settings.TIME_ZONE}
    at_two, _ = crontab.objects.get_or_create(minute="0", hour="2", **night)
    hourly, _ = crontab.objects.get_or_create(minute="0", hour="*", **night)
    for name, when in (
        # A run that could not start in five minutes is overtaken by the next one.
        ("sync_transactions_to_clickhouse", {"interval": every_five_minutes, "expire_seconds": 300}),
        ("calculate_rfm_snapshots", {"crontab": at_two}),
        ("aggregate_cross_promo_conversions", {"crontab": hourly, "expire_seconds": 3600}),
    ):
        task.objects.get_or_create(name=name, defaults={"task": name, **when})


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0002_export_views"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
