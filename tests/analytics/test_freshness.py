"""The page that says how old and how right the reports are."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation

from analytics.models import Reconciliation, SyncWindow
from analytics.pipeline_report import pipeline_report
from analytics.services import sync
from analytics.services.reconcile import reconcile
from analytics.services.sync import sync_facts
from loyalty.models import Business, StaffMembership
from tests.analytics.rows import purchase
from tests.analytics.test_sync import LateCommit
from tests.factories import BusinessFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

PAGE = reverse("admin:reports_freshness")
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def english(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    with translation.override("en"):
        yield


@pytest.fixture
def programme(client, transactional_db):
    staff = StaffFactory(business=Business.objects.get(is_programme=True)).member
    client.force_login(staff)
    return staff


def troubles(at=None):
    return [trouble.what for trouble in pipeline_report(at=at or timezone.now())["troubles"]]


def test_a_fresh_and_equal_copy_needs_nothing(clickhouse, client, programme):
    at = timezone.now()
    purchase(MemberFactory(), BusinessFactory(), "10.00", at=at - timedelta(days=40))
    reconcile(at=at)

    page = client.get(PAGE)

    assert page.context["troubles"] == []
    text = page.content.decode()
    assert "All is well" in text
    assert "equal to the kopeck" in text
    [month] = page.context["months"]
    assert (month.name, month.postgres_rows, month.clickhouse_rows) == ("Purchases and refunds", 1, 1)
    line = page.context["tables"][0]
    assert (line.name, line.rows) == ("Purchases and refunds", 1)


def test_before_the_first_sync_the_page_says_what_to_do(client, programme):
    page = client.get(PAGE)

    assert page.status_code == 200
    assert troubles() == [
        "No sync has ended for a while. Nothing is lost: purchases wait in PostgreSQL.",
        "The analytics was not compared with PostgreSQL for more than a day.",
    ]
    assert "manage.py sync_clickhouse" in page.content.decode()


def test_a_late_copy_a_differing_month_and_an_old_comparison_are_named(clickhouse):
    at = timezone.now()
    purchase(MemberFactory(), BusinessFactory(), "10.00", at=at - timedelta(days=40))
    sync_facts()
    clickhouse.run("TRUNCATE TABLE transaction_facts")
    reconcile(at=at)

    assert troubles() == ["1 month differs from PostgreSQL."]
    assert troubles(at + 20 * MINUTE) == [
        "No sync has ended for a while. Nothing is lost: purchases wait in PostgreSQL.",
        "1 month differs from PostgreSQL.",
    ]
    assert "The analytics was not compared with PostgreSQL for more than a day." in troubles(
        at + timedelta(hours=27)
    )
    reconcile(at=at + MINUTE, heal=True)
    assert troubles() == []


def test_a_restored_cluster_and_an_open_transaction_are_named(clickhouse, monkeypatch):
    reconcile(at=timezone.now())
    Reconciliation.objects.create(
        table="transaction_facts", month="2026-01-01", postgres_rows=0, clickhouse_rows=0,
        postgres_amount=0, clickhouse_amount=0, outcome="equal",
    )  # fmt: skip
    SyncWindow.objects.filter(table="bonus_facts").update(system_identifier="1")
    monkeypatch.setattr(sync, "STALLED", timedelta(0))
    late = LateCommit(MemberFactory(), BusinessFactory())

    process = late.connection.connection.info.backend_pid
    page = pipeline_report(at=timezone.now())["troubles"]
    late.commit()

    assert [trouble.what for trouble in page] == [
        "PostgreSQL was restored from a backup. Nothing is carried until someone agrees.",
        "A database transaction stays open for less than a minute: what came after it waits.",
    ]
    assert page[0].command == "manage.py refill_clickhouse"
    assert f"process {process} " in page[1].advice


def test_the_page_costs_the_same_with_one_month_and_with_many(programme, client, django_assert_num_queries):
    def months(count):
        Reconciliation.objects.bulk_create(
            Reconciliation(
                table="transaction_facts", month=f"2026-{month:02}-01", postgres_rows=1, clickhouse_rows=1,
                postgres_amount=1, clickhouse_amount=1, outcome="equal",
            )
            for month in range(1, count + 1)
        )  # fmt: skip

    months(1)
    with django_assert_num_queries(10):
        pipeline_report(at=timezone.now())
    months(12)
    with django_assert_num_queries(10):
        page = pipeline_report(at=timezone.now())
    assert len(page["months"]) == 12


@pytest.mark.parametrize("role", StaffMembership.Role.values)
def test_partners_do_not_see_it(client, transactional_db, role):
    client.force_login(StaffFactory(role=role).member)

    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get(reverse("admin:index")).content.decode()


def test_without_clickhouse_the_page_still_answers(client, programme, settings):
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/nowhere"

    assert client.get(PAGE).status_code == 200
