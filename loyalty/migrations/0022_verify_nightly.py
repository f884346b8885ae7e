"""A row of django-celery-beat: the audit of the ledger. Later changes are the operators', in the admin."""

from django.conf import settings
from django.db import migrations


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")
    # After the night's other work, when few shop.
    schedule, _ = crontab.objects.get_or_create(
        minute="10",
        hour="4",
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone=settings.TIME_ZONE,
    )
    task.objects.get_or_create(name="verify_ledger", defaults={"task": "verify_ledger", "crontab": schedule})


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0021_sandboxes"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
