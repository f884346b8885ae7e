"""Rows of django-celery-beat for coupons: their expiry, the reminders, issues left half done."""

from django.conf import settings
from django.db import migrations

# Name, minute, hour.
TASKS = [
    ("expire_coupons", "15", "0"),
    ("queue_coupon_warnings", "25", "0"),
    ("continue_campaigns", "*/10", "*"),
]


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, minute, hour in TASKS:
        schedule, _ = crontab.objects.get_or_create(
            minute=minute,
            hour=hour,
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone=settings.TIME_ZONE,
        )
        task.objects.get_or_create(name=name, defaults={"task": name, "crontab": schedule})


class Migration(migrations.Migration):
    dependencies = [
        ("promos", "0004_coupon_campaigns"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
