"""A row of django-celery-beat: answers kept for an Idempotency-Key go after a day."""

from django.conf import settings
from django.db import migrations


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    schedule, _ = crontab.objects.get_or_create(
        minute="40",
        hour="0",
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone=settings.TIME_ZONE,
    )
    task.objects.get_or_create(
        name="forget_answers", defaults={"task": "forget_answers", "crontab": schedule}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0017_idempotency_keys"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
