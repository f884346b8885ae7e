"""The nightly forecasts: what is read, what is stored, and what a reader meets meanwhile."""

from datetime import datetime, timedelta
from decimal import Decimal as D
from io import StringIO
from threading import Event, Thread

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from analytics.clickhouse.client import Connection
from analytics.clickhouse.queries import local_days, read_query, scope
from analytics.errors import ClickHouseUnavailable
from analytics.forecast_selectors import first_people, forecast_of, steps
from analytics.models import ForecastRun
from analytics.services import forecasts
from analytics.services.forecasts import forecast_customers
from analytics.services.sync import sync_facts
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
TODAY = timezone.localdate(NOW)
MINUTE = timedelta(minutes=1)


def days_ago(days: int, *, hour: int = 12) -> datetime:
    """That hour in the programme's zone."""
    noon = timezone.localtime(NOW).replace(hour=hour, minute=0, second=0, microsecond=0)
    return noon - timedelta(days=days)


def histories(clickhouse, business_ids=None):
    params = {
        **local_days(TODAY - timedelta(days=400), TODAY), **scope(business_ids), "on": TODAY.isoformat(),
    }  # fmt: skip
    return {row[0]: row[1:] for row in clickhouse.run(read_query("purchase_histories"), params).rows}


def sell(business, *, buyers=120, regulars=60):
    """Members of whom some came back, each so often and so long ago as their place says."""
    members = [MemberFactory() for _ in range(buyers)]
    for place, member in enumerate(members):
        first = 300 - place
        purchase(member, business, "100.00", at=days_ago(first))
        if place < regulars:
            for visit in range(1 + place % 6):
                amount = f"{60 + 7 * (place % 11) + visit}.00"
                purchase(member, business, amount, at=days_ago(first - 9 * (visit + 1)))
    return members


def test_a_history_counts_local_days_and_what_the_later_ones_came_to(clickhouse):
    cafe, other = BusinessFactory(), BusinessFactory()
    regular, once, returned, today = (MemberFactory() for _ in range(4))
    purchase(regular, cafe, "100.00", at=days_ago(50, hour=1))
    purchase(regular, cafe, "20.00", at=days_ago(50, hour=23))
    purchase(regular, cafe, "30.00", at=days_ago(40))
    lowered = purchase(regular, cafe, "70.00", at=days_ago(29, hour=23))
    refund(lowered, "15.00", at=days_ago(3))
    purchase(regular, other, "999.00", at=days_ago(10))
    purchase(once, cafe, "5.00", at=days_ago(1))
    undone = purchase(returned, cafe, "5.00", at=days_ago(9))
    refund(undone, "5.00", at=days_ago(8))
    purchase(today, cafe, "5.00", at=days_ago(0, hour=0))
    sync_facts()

    assert histories(clickhouse, [cafe.pk]) == {
        regular.pk: (3, 21, 49, D("205.00"), D("85.00")),
        once.pk: (1, 0, 0, D("5.00"), D("0.00")),
    }
    assert histories(clickhouse)[regular.pk] == (4, 40, 49, D("1204.00"), D("1084.00"))
    assert histories(clickhouse, []) == {}


def test_every_scope_gets_its_picture_or_says_what_is_missing(clickhouse):
    busy, quiet = BusinessFactory(), BusinessFactory()
    members = sell(busy)
    purchase(members[0], quiet, "10.00", at=days_ago(20))
    sync_facts()

    forecast_customers(until=TODAY, at=NOW)

    programme, shop, few = forecast_of(None), forecast_of(busy.pk), forecast_of(quiet.pk)
    assert (programme.customers, programme.repeat_buyers, programme.is_ready) == (120, 60, True)
    assert (shop.customers, shop.repeat_buyers, shop.is_ready) == (120, 60, True)
    assert (few.customers, few.repeat_buyers, few.is_ready) == (1, 0, False)
    assert forecast_of(BusinessFactory().pk) is None
    counted = steps(shop)
    assert sum(step.members for step in counted) == 120
    assert all(0 <= step.number <= 9 for step in counted)
    assert steps(few) == first_people(few) == ()
    best = first_people(shop, limit=200)
    assert len(best) == 120
    assert [one.expected_rub for one in best] == sorted((one.expected_rub for one in best), reverse=True)
    assert sum(one.expected_rub for one in best) == sum(step.expected_rub for step in counted)
    [first] = [one for one in best if one.member_id == members[0].pk]
    assert (first.purchase_days, first.silent_days, first.spent_rub) == (2, 291, D("160.00"))


def test_again_the_same_and_one_picture_is_left(clickhouse):
    sell(BusinessFactory())
    sync_facts()
    rows = (
        "SELECT * EXCEPT calculated_at FROM customer_forecasts FINAL WHERE calculated_at ="
        " (SELECT max(calculated_at) FROM customer_forecasts) ORDER BY business_id, user_id"
    )
    seen, generations = [], []
    for turn in range(3):
        forecast_customers(until=TODAY, at=NOW + turn * MINUTE)
        seen.append(clickhouse.run(rows).rows)
        generations.append(clickhouse.run("SELECT uniq(calculated_at) FROM customer_forecasts").rows[0][0])

    assert len(seen[0]) == 240
    assert seen[0] == seen[1] == seen[2]
    # The picture just replaced stays for whoever is reading it.
    assert generations == [1, 2, 2]
    assert ForecastRun.objects.count() == 2


def test_one_that_dies_on_the_way_leaves_the_picture_before(clickhouse, monkeypatch):
    shop = BusinessFactory()
    sell(shop)
    sync_facts()
    forecast_customers(until=TODAY, at=NOW)
    before = forecast_of(shop.pk)
    shown = steps(before)

    def die(*_):
        raise ClickHouseUnavailable("gone")

    monkeypatch.setattr(forecasts, "_show", die)
    with pytest.raises(ClickHouseUnavailable):
        forecast_customers(until=TODAY, at=NOW + MINUTE)

    assert forecast_of(shop.pk) == before
    assert steps(before) == shown
    monkeypatch.undo()
    for turn in (2, 3):
        forecast_customers(until=TODAY, at=NOW + turn * MINUTE)
    assert clickhouse.run("SELECT uniq(calculated_at) FROM customer_forecasts").rows == [(2,)]


def test_two_at_once_calculate_one_after_the_other_never_together(clickhouse, monkeypatch):
    sell(BusinessFactory())
    sync_facts()
    inside, go_on, results = Event(), Event(), []
    insert = Connection.insert

    def slow(self, *arguments):
        inside.set()
        assert go_on.wait(30)
        insert(self, *arguments)

    monkeypatch.setattr(Connection, "insert", slow)

    def first():
        try:
            results.append(forecast_customers(until=TODAY, at=NOW))
        finally:
            connections.close_all()

    thread = Thread(target=first)
    thread.start()
    try:
        assert inside.wait(30)
        assert forecast_customers(until=TODAY, at=NOW + MINUTE) is None
        with pytest.raises(CommandError, match="already"):
            call_command("forecast")
    finally:
        go_on.set()
        thread.join()
    assert len(results[0]) == 2


def test_the_command_tells_the_parameters(clickhouse):
    sell(BusinessFactory(code="CAFE"))
    sync_facts()
    out = StringIO()

    call_command("forecast", stdout=out)

    programme, cafe = out.getvalue().splitlines()
    assert programme.startswith("programme: 120 customers, r=")
    assert cafe == programme.replace("programme", "CAFE")
