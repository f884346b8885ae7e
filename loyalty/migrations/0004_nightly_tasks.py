"""Rows of django-celery-beat for the ledger's nightly work; staff may change them afterwards."""

from django.conf import settings
from django.db import migrations

TASKS = [("close_lapsed_bonuses", "10"), ("raise_tiers", "30")]


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, minute in TASKS:
        at_night, _ = crontab.objects.get_or_create(
            minute=minute,
            hour="0",
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone=settings.TIME_ZONE,
        )
        task.objects.get_or_create(name=name, defaults={"task": name, "crontab": at_night})


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0003_reference_rows"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
