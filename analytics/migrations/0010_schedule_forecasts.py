"""The nightly forecasts. Later changes are the operators', in the admin."""

from django.conf import settings
from django.db import migrations


def create(apps, schema_editor):
    crontab = apps.get_model("django_celery_beat", "CrontabSchedule")
    task = apps.get_model("django_celery_beat", "PeriodicTask")

    # After the RFM snapshot of 02:00 and before the comparison of 03:30.
    when, _ = crontab.objects.get_or_create(
        minute="30",
        hour="2",
        day_of_week="*",
        day_of_month="*",
        month_of_year="*",
        timezone=settings.TIME_ZONE,
    )
    task.objects.get_or_create(
        name="forecast_customers", defaults={"task": "forecast_customers", "crontab": when}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0009_forecast_runs"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop, elidable=False)]
