"""Rows of django-celery-beat for the tiers' review and the warnings before bonuses lapse."""

from django.conf import settings
from django.db import migrations

# Name, minute, hour, day of the month.
TASKS = [("queue_expiry_warnings", "20", "0", "*"), ("review_tiers", "30", "0", "1")]


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, minute, hour, day in TASKS:
        schedule, _ = crontab.objects.get_or_create(
            minute=minute,
            hour=hour,
            day_of_week="*",
            day_of_month=day,
            month_of_year="*",
            timezone=settings.TIME_ZONE,
        )
        task.objects.get_or_create(name=name, defaults={"task": name, "crontab": schedule})


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0008_chain_entries_and_hold_bonuses"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
