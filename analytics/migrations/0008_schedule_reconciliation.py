"""Two more scheduled tasks. Later changes are the operators', in the admin."""

from django.conf import settings
from django.db import migrations


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")

    night = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": settings.TIME_ZONE}
    # Beside the full hour and after the night's other work, so that few wait for each other.
    hourly, _ = crontab.objects.get_or_create(minute="22", hour="*", **night)
    nightly, _ = crontab.objects.get_or_create(minute="30", hour="3", **night)
    for name, when, expires in (
        ("reconcile_current_month", hourly, 3600),
        ("reconcile_closed_months", nightly, None),
    ):
        defaults = {"task": name, "crontab": when, "expire_seconds": expires}
        task.objects.get_or_create(name=name, defaults=defaults)


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0007_reconciliations"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
