"""The three scheduled tasks: their names, their times, what they do."""

import logging
from datetime import timedelta
from importlib import import_module
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from analytics.errors import ClickHouseUnavailable
from analytics.models import RfmRun
from analytics.tasks import calculate_rfm_snapshots, sync_transactions_to_clickhouse
from svoykrug.celery import app
from tests.analytics.rows import purchase
from tests.factories import BusinessFactory, MemberFactory

NAMES = {
    "sync_transactions_to_clickhouse",
    "calculate_rfm_snapshots",
    "aggregate_cross_promo_conversions",
    "reconcile_current_month",
    "reconcile_closed_months",
    "forecast_customers",
}
committed = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def test_tasks_have_their_given_names():
    app.loader.import_default_modules()

    assert set(app.tasks) >= NAMES


@pytest.mark.django_db
def test_the_schedule_stands_in_the_database():
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__in=NAMES)}

    assert {name: (row.task, row.enabled) for name, row in rows.items()} == {n: (n, True) for n in NAMES}
    sync = rows["sync_transactions_to_clickhouse"].interval
    assert (sync.every, sync.period) == (5, "minutes")
    night = rows["calculate_rfm_snapshots"].crontab
    assert (night.hour, night.minute, night.timezone) == ("2", "0", ZoneInfo("Europe/Moscow"))
    hourly = rows["aggregate_cross_promo_conversions"].crontab
    assert (hourly.hour, hourly.minute) == ("*", "0")
    compared = rows["reconcile_current_month"].crontab, rows["reconcile_closed_months"].crontab
    assert [(each.hour, each.minute) for each in compared] == [("*", "22"), ("3", "30")]
    forecast = rows["forecast_customers"].crontab
    assert (forecast.hour, forecast.minute, forecast.timezone) == ("2", "30", ZoneInfo("Europe/Moscow"))


@pytest.mark.django_db
def test_what_an_operator_changed_stays_changed():
    PeriodicTask.objects.filter(name="calculate_rfm_snapshots").update(enabled=False)

    import_module("analytics.migrations.0003_schedule").create(apps, None)

    assert PeriodicTask.objects.get(name="calculate_rfm_snapshots").enabled is False
    assert PeriodicTask.objects.filter(name__in=NAMES).count() == len(NAMES)


@committed
def test_sync_and_snapshot_run_as_tasks_and_as_commands(clickhouse):
    purchase(MemberFactory(), BusinessFactory(), "100.00", at=timezone.now() - timedelta(days=2))

    sync_transactions_to_clickhouse()
    calculate_rfm_snapshots()
    assert RfmRun.objects.get().members == 1

    out = StringIO()
    call_command("rfm", "--date", timezone.localdate().isoformat(), stdout=out)
    call_command("aggregate_cross_promo", stdout=out)
    assert out.getvalue().splitlines() == [
        f"RFM of {timezone.localdate()}: 1 members",
        "  recency cuts: -2, -2, -2, -2",
        "  frequency cuts: 1, 1, 1, 1",
        "  monetary cuts: 100, 100, 100, 100",
        "0 assignments; months changed: none",
    ]


@committed
def test_an_outage_fails_the_task_with_one_line_in_the_log(settings, caplog):
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/nowhere"

    with caplog.at_level(logging.ERROR, logger="analytics"), pytest.raises(ClickHouseUnavailable):
        sync_transactions_to_clickhouse()

    [line] = [record.getMessage() for record in caplog.records if record.name == "analytics.tasks"]
    assert line.startswith("Facts wait in PostgreSQL until the next run: ClickHouse at 127.0.0.1:1")
