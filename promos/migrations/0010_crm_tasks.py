"""Rows of django-celery-beat for messages of CRMs: applied again where that is due, forgotten in time."""

from django.conf import settings
from django.db import migrations

# Name, minute, hour.
TASKS = [
    ("apply_crm_messages", "*", "*"),
    ("poll_crms", "*", "*"),
    ("forget_old_crm_messages", "50", "3"),
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
        # A run that could not start within its minute is the next one's.
        expire = {"expire_seconds": 60} if minute == "*" else {}
        task.objects.get_or_create(name=name, defaults={"task": name, "crontab": schedule, **expire})


class Migration(migrations.Migration):
    dependencies = [
        ("promos", "0009_agree_on_running_chains"),
        ("loyalty", "0020_crm_messages"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
