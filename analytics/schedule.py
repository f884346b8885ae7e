"""When the nightly work is done, as the operators set it."""

from django_celery_beat.models import PeriodicTask


def nightly(task: str) -> str:
    """Return when the task runs, as `02:00`; empty while it is switched off."""
    row = PeriodicTask.objects.filter(task=task, enabled=True).select_related("crontab").first()
    if row is None or row.crontab is None:
        return ""
    hour, minute = row.crontab.hour, row.crontab.minute
    return f"{int(hour):02}:{int(minute):02}" if hour.isdigit() and minute.isdigit() else ""
