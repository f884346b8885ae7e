"""The owners' pages of customers and bonuses: numbers of seeded rows, scope, files, faults at the field."""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation

from analytics.forecast_pages import FEWEST_REPEAT_BUYERS
from analytics.models import ForecastRun, RfmRun
from analytics.services.forecasts import forecast_customers
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from loyalty.models import Business, Member, StaffMembership
from promos.segments import Segment
from tests.analytics.rows import purchase
from tests.analytics.test_forecasts import days_ago, sell
from tests.analytics.test_liability import enter
from tests.factories import BusinessFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
TODAY = timezone.localdate(NOW)
PAGES = {
    name: reverse(f"admin:reports_{name}")
    for name in ("forecast", "cohorts", "segments", "liability", "breakage")
}


@pytest.fixture(autouse=True)
def english(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    with translation.override("en"):
        yield


def sign_in(client: Any, business: Business, role: str = StaffMembership.Role.OWNER) -> Member:
    staff = StaffFactory(business=business, role=role).member
    client.force_login(staff)
    return staff


@pytest.fixture
def programme(client, transactional_db):
    return sign_in(client, Business.objects.get(is_programme=True))


def rows_of(response: Any) -> list[list[str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(StringIO(text), delimiter=";"))


def month(back: int) -> date:
    number = TODAY.year * 12 + TODAY.month - 1 - back
    return date(number // 12, number % 12 + 1, 1)


def in_month(back: int) -> Any:
    first = month(back)
    return datetime(first.year, first.month, 1, 9, tzinfo=timezone.get_default_timezone())


# --- Who will come back ----------------------------------------------------------------------------------


def test_the_web_knows_the_fitters_least_number():
    from analytics import repeat_buying

    assert FEWEST_REPEAT_BUYERS == repeat_buying.FEWEST_REPEAT_BUYERS


def test_the_forecast_shows_steps_and_the_first_people(clickhouse, client, programme):
    shop = BusinessFactory(name="Tea")
    sell(shop)
    sync_facts()
    forecast_customers(until=TODAY, at=NOW)

    context = client.get(PAGES["forecast"]).context

    table = context["tables"]["steps"]
    assert sum(row[1] for row in table.rows) == 120
    back = round(sum(row[2] for row in table.rows))
    assert context["finding"] == f"About {back} of 120 customers will come back within 90 days"
    assert sum(bar.value for bar in context["chart"].bars) == 120
    values = [line.row.expected_rub for line in context["lines"]]
    assert len(values) == 50
    assert values == sorted(values, reverse=True)
    slipping = client.get(PAGES["forecast"], {"first": "slipping"}).context["lines"]
    assert slipping
    assert all(line.row.purchase_days > 1 and line.row.return_chance < 0.4 for line in slipping)
    assert [run.business for run in context["runs"]] == [None, shop]


def test_an_owner_sees_own_forecast_masked_and_anothers_is_not_there(clickhouse, client):
    own, other = BusinessFactory(), BusinessFactory()
    members = sell(own)
    Member.objects.filter(pk__in=[m.pk for m in members]).update(last_name="Canarova")
    sell(other, regulars=50)
    sign_in(client, own)
    sync_facts()
    forecast_customers(until=TODAY, at=NOW)

    response = client.get(PAGES["forecast"])

    assert [run.business_id for run in response.context["runs"]] == [own.pk]
    text = response.content.decode()
    assert "Canarova" not in text
    shown = response.context["lines"][0]
    assert shown.who.contact == Member.objects.get(pk=shown.row.member_id).masked_phone
    for foreign in (other.pk, "all", "x", uuid4()):
        assert client.get(PAGES["forecast"], {"business": foreign}).status_code == 404
    file = rows_of(client.get(PAGES["forecast"], {"csv": "people"}))
    assert file[0][:3] == ["Who", "Contact", "Chance of return"]
    assert len(file) == 51
    assert "Canarova" not in str(file)
    assert members[0].phone not in str(file).replace(" ", "").replace("-", "")


def test_few_who_came_back_are_told_honestly(clickhouse, client):
    own = BusinessFactory()
    sell(own, buyers=70, regulars=12)
    sign_in(client, own)
    assert "tonight at 02:30" in client.get(PAGES["forecast"]).content.decode()
    sync_facts()
    forecast_customers(until=TODAY, at=NOW)

    text = client.get(PAGES["forecast"]).content.decode()

    assert "needs 50 of them. So far it is 12 of 70 customers" in text
    ForecastRun.objects.update(repeat_buyers=50)
    assert "fit no rule that could be trusted" in client.get(PAGES["forecast"]).content.decode()


# --- Cohorts ---------------------------------------------------------------------------------------------


def test_the_triangle_holds_each_months_newcomers_and_who_came_again(clickhouse, client):
    own, other = BusinessFactory(), BusinessFactory()
    first = [MemberFactory() for _ in range(60)]
    for place, member in enumerate(first):
        purchase(member, own, "100.00", at=in_month(3))
        if place < 15:
            purchase(member, own, "50.00", at=in_month(2))
        purchase(member, other, "1.00", at=in_month(1))
    purchase(MemberFactory(), own, "7.00", at=in_month(1))
    sign_in(client, own)
    sync_facts()

    context = client.get(PAGES["cohorts"], {"months": "6"}).context

    rows = {row.label: row for row in context["rows"]}
    assert [row.members for row in rows.values()] == [60, 1]
    oldest = next(iter(rows.values()))
    assert [cell.share for cell in oldest.cells] == ["100%", "25%", "0%", "0%"]
    assert context["finding"] == "Of 100 newcomers 25 come again a month later"
    # The newest months have too few newcomers or are not over.
    assert [row[1] for row in context["tables"]["average"].rows] == [Decimal("0.25"), Decimal(0)]
    [names, *file] = rows_of(client.get(PAGES["cohorts"], {"months": "6", "csv": "cohorts"}))
    assert names == ["First purchase", "Months later", "Bought", "Share", "For, ₽"]
    assert [row[1:] for row in file] == [
        ["0", "60", "100.0", "6000.00"], ["1", "15", "25.0", "750.00"], ["0", "1", "100.0", "7.00"],
    ]  # fmt: skip
    assert client.get(PAGES["cohorts"], {"months": "7"}).context["months"] == 12


# --- Segments --------------------------------------------------------------------------------------------


def snapshot(clickhouse, day: date, segments: dict[int, Segment]) -> None:
    values = ", ".join(
        f"('{day}', toUUID('{UUID(int=member)}'), '{segment}', toDateTime64('{day} 02:00:00.000', 3, 'UTC'))"
        for member, segment in segments.items()
    )
    clickhouse.run(
        f"INSERT INTO rfm_snapshots (snapshot_date, user_id, rfm_segment, calculated_at) VALUES {values}"
    )
    at = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    RfmRun.objects.create(snapshot_date=day, calculated_at=at, members=len(segments))


def test_segments_over_time_and_moves_of_the_programme(clickhouse, client, programme):
    days = [TODAY - timedelta(days=each) for each in (60, 30, 0)]
    loyal, risk = Segment.LOYAL, Segment.AT_RISK
    snapshot(clickhouse, days[0], {1: loyal, 2: loyal, 3: risk})
    snapshot(clickhouse, days[1], {1: loyal, 2: risk, 3: risk})
    snapshot(clickhouse, days[2], {1: loyal, 2: risk, 4: Segment.NEW})
    # What an earlier calculation of the same day left is not counted.
    clickhouse.run(
        "INSERT INTO rfm_snapshots (snapshot_date, user_id, rfm_segment, calculated_at)"
        f" VALUES ('{days[1]}', generateUUIDv4(), 'loyal', toDateTime64('{days[1]} 01:00:00.000', 3, 'UTC'))"
    )

    context = client.get(PAGES["segments"], {"earlier": days[0], "later": days[2]}).context

    assert context["finding"] == "1 of 2 customers moved to another segment"
    assert context["largest"] == {"earlier": "Loyal", "later": "At risk", "members": 1}
    lines = {line.name: (line.then, line.now, line.change) for line in context["segments"]}
    assert lines == {"Loyal": (2, 1, "−1"), "New": (0, 1, "+1"), "At risk": (1, 1, "0")}
    history = {row[0]: row[1:] for row in context["tables"]["history"].rows}
    assert history["Loyal"] == (2, 1, 1)
    assert history["At risk"] == (1, 2, 1)
    moves = rows_of(client.get(PAGES["segments"], {"earlier": days[0], "later": days[2], "csv": "moves"}))
    assert sorted(moves[1:]) == [
        ["At risk", "no purchases", "1"], ["Loyal", "At risk", "1"], ["Loyal", "Loyal", "1"],
        ["no purchases yet", "New", "1"],
    ]  # fmt: skip


def test_an_owners_moves_are_scored_from_purchases_there(clickhouse, client):
    own, other = BusinessFactory(), BusinessFactory()
    for place in range(60):
        member = MemberFactory()
        purchase(member, own, "100.00", at=days_ago(200 - place))
        if place < 20:
            purchase(member, own, "10.00", at=days_ago(5 + place))
        purchase(member, other, "900.00", at=days_ago(2))
    purchase(MemberFactory(), own, "10.00", at=days_ago(5))
    sign_in(client, own)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)
    asked = {"earlier": TODAY - timedelta(days=100), "later": TODAY}

    context = client.get(PAGES["segments"], asked).context

    moves = context["tables"]["moves"].rows
    assert sum(row[2] for row in moves) == 61
    assert [row for row in moves if row[0] == "no purchases yet"] == [("no purchases yet", "New", 1)]
    assert context["chart"] is None
    few = {"earlier": TODAY - timedelta(days=190), "later": TODAY - timedelta(days=180)}
    assert "With fewer than 50 buyers" in client.get(PAGES["segments"], few).content.decode()


@pytest.mark.parametrize(("asked", "field"), [
    ({"earlier": "x"}, "earlier"),
    ({"earlier": "2020-01-01"}, "earlier"),
    ({"later": (TODAY + timedelta(days=1)).isoformat()}, "later"),
    ({"earlier": TODAY.isoformat(), "later": TODAY.isoformat()}, "earlier"),
])  # fmt: skip
def test_days_that_cannot_be_are_told_at_the_field(clickhouse, client, programme, asked, field):
    for back in (30, 0):
        snapshot(clickhouse, TODAY - timedelta(days=back), {1: Segment.LOYAL})

    response = client.get(PAGES["segments"], asked)

    assert list(response.context["form"].errors) == [field]
    assert "matrix" not in response.context
    assert 'class="fault" role="alert"' in response.content.decode()
    assert client.get(PAGES["segments"], {**asked, "csv": "moves"}).status_code == 404


# --- Bonuses ---------------------------------------------------------------------------------------------


def test_liability_stands_by_issuer_and_age_and_in_roubles(clickhouse, client):
    own, other = BusinessFactory(name="Tea", point_price_rub=Decimal("0.80")), BusinessFactory()
    enter(clickhouse, days_ago(10), "accrual", "100.00", days_ago(10), issuer=own.pk)
    enter(clickhouse, days_ago(200), "accrual", "60.00", days_ago(200), issuer=own.pk)
    old = days_ago(300)
    enter(clickhouse, old, "accrual", "50.00", days_ago(300), issuer=own.pk)
    enter(clickhouse, old, "redemption", "-10.00", days_ago(2), issuer=own.pk)
    enter(clickhouse, days_ago(10), "accrual", "777.00", days_ago(10), issuer=other.pk)
    sign_in(client, own)

    context = client.get(PAGES["liability"]).context

    assert context["tables"]["liability"].rows == (
        ("Tea", Decimal("100.00"), Decimal(0), Decimal("60.00"), Decimal("40.00"), Decimal("200.00"),
         Decimal("160.00")),
    )  # fmt: skip
    assert context["finding"] == "Members hold 200 bonuses, 20% of them given 9 months ago or earlier"
    earlier = client.get(PAGES["liability"], {"on": TODAY - timedelta(days=5)}).context
    assert earlier["tables"]["liability"].rows[0][-2] == Decimal("210.00")
    for wrong in ("x", "1999-01-01", TODAY + timedelta(days=9)):
        response = client.get(PAGES["liability"], {"on": wrong})
        assert (list(response.context["form"].errors), "tables" in response.context) == (["on"], False)


def test_breakage_follows_what_was_given_over_a_year_ago(clickhouse, client):
    own, other = BusinessFactory(), BusinessFactory()
    spent, lapsed = days_ago(500), days_ago(20)
    enter(clickhouse, spent, "accrual", "100.00", days_ago(500), issuer=own.pk)
    enter(clickhouse, spent, "redemption", "-60.00", days_ago(430), issuer=own.pk)
    enter(clickhouse, spent, "expiry", "-40.00", days_ago(130), issuer=own.pk)
    enter(clickhouse, lapsed, "accrual", "100.00", days_ago(20), issuer=own.pk)
    enter(clickhouse, days_ago(500), "accrual", "999.00", days_ago(500), issuer=other.pk)
    sign_in(client, own)

    context = client.get(PAGES["breakage"]).context

    assert context["given"] == "known"
    assert context["finding"] == "Of 100 bonuses given 60 were spent and 40 lapsed"
    rows = context["tables"]["breakage"].rows
    assert [row[0] for row in rows] == list(range(13))
    assert rows[1][1:] == (0, 0, 0, 1)
    assert rows[-1][1:] == (Decimal("0.6"), Decimal("0.4"), 0, 0)
    latest = client.get(PAGES["breakage"], {"given": "latest"}).context
    assert latest["finding"] == "Of 100 bonuses given 0 were spent and 0 lapsed"


def test_a_young_programme_is_shown_what_it_gave_since(clickhouse, client):
    own = BusinessFactory()
    enter(clickhouse, days_ago(20), "accrual", "100.00", days_ago(20), issuer=own.pk)
    sign_in(client, own)

    assert client.get(PAGES["breakage"]).context["given"] == "latest"
    assert client.get(PAGES["breakage"], {"given": "known"}).context["empty"] is True


# --- All of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_pages_rest_when_clickhouse_does(client, programme, settings, name):
    ForecastRun.objects.create(
        until=TODAY, calculated_at=NOW, horizon_days=90, customers=1, repeat_buyers=1,
        timing=[1, 1, 1, 1], spending=[1, 2, 1],
    )  # fmt: skip
    for back in (30, 0):
        RfmRun.objects.create(snapshot_date=TODAY - timedelta(days=back), calculated_at=NOW, members=1)
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/nowhere"

    response = client.get(PAGES[name])

    assert response.status_code == 503
    assert "nothing is lost" in response.content.decode()


def test_pages_ask_postgresql_the_same_for_few_and_many(
    clickhouse, client, programme, django_assert_max_num_queries
):
    def queries() -> dict[str, int]:
        numbers = {}
        for name, address in PAGES.items():
            with django_assert_max_num_queries(60) as asked:
                assert client.get(address).status_code == 200
            numbers[name] = len(asked)
        return numbers

    def trade(*, minutes: int) -> None:
        sell(BusinessFactory(), buyers=70, regulars=55)
        enter(clickhouse, days_ago(500), "accrual", "1.00", days_ago(500), issuer=BusinessFactory().pk)
        sync_facts()
        forecast_customers(until=TODAY, at=NOW + timedelta(minutes=minutes))

    trade(minutes=0)
    for back in (40, 0):
        calculate_rfm(snapshot_date=TODAY - timedelta(days=back), at=NOW)
    queries()
    first = queries()
    trade(minutes=1)

    assert queries() == first


def test_a_file_keeps_a_spreadsheet_from_running_a_name(clickhouse, client):
    own = BusinessFactory(name="=HYPERLINK(1)")
    enter(clickhouse, days_ago(10), "accrual", "100.00", days_ago(10), issuer=own.pk)
    sign_in(client, own)

    [_, row] = rows_of(client.get(PAGES["liability"], {"csv": "liability"}))

    assert row == ["'=HYPERLINK(1)", "100.00", "0.00", "0.00", "0.00", "100.00", "100.00"]
    assert client.get(PAGES["liability"], {"csv": "nothing"}).status_code == 404
