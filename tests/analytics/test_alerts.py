"""What stands in the pipeline's way reaches programme staff, once a day, and nobody else."""

from datetime import UTC, timedelta

import pytest
from django.utils import timezone

from analytics.errors import SyncRefused
from analytics.models import SyncWindow
from analytics.services import sync
from analytics.services.alerts import warn_of_stall
from analytics.services.sync import Stall, stall, sync_facts
from analytics.tasks import reconcile_closed_months, reconcile_current_month, sync_transactions_to_clickhouse
from loyalty.models import Business, Notification
from tests.analytics.rows import purchase
from tests.analytics.test_sync import LateCommit
from tests.factories import BusinessFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def staff(transactional_db):
    """Two people of the programme; beside them an owner, somebody who left, and a customer."""
    programme = Business.objects.get(is_programme=True)
    people = [StaffFactory(business=programme).member for _ in range(2)]
    StaffFactory()
    StaffFactory(business=programme, member=MemberFactory(is_staff=True, is_active=False))
    MemberFactory()
    return {person.pk for person in people}


def told(template):
    rows = Notification.objects.filter(template=template, purpose="service", status="queued")
    return [(row.member_id, row.payload) for row in rows]


def test_a_transaction_left_open_is_told_once(clickhouse, staff, monkeypatch):
    late = LateCommit(MemberFactory(), BusinessFactory())
    assert stall() is None
    sync_transactions_to_clickhouse()
    assert told("pipeline_stalled") == []
    monkeypatch.setattr(sync, "STALLED", timedelta(0))

    for _ in range(3):
        sync_transactions_to_clickhouse()

    process = late.connection.connection.info.backend_pid
    assert {member for member, _ in told("pipeline_stalled")} == staff
    assert [payload for _, payload in told("pipeline_stalled")] == [{"process": process, "minutes": 0}] * 2
    late.commit()
    assert stall() is None


def test_the_next_day_it_is_told_again(staff):
    at = timezone.now()

    said = [warn_of_stall(Stall(7, timedelta(minutes=8)), at=at + timedelta(days=days)) for days in (0, 0, 1)]

    assert said == [2, 0, 2]


def test_a_restored_cluster_is_told_with_what_to_do(clickhouse, staff):
    sync_facts()
    SyncWindow.objects.update(system_identifier="1")

    for task in (sync_transactions_to_clickhouse, reconcile_current_month, sync_transactions_to_clickhouse):
        with pytest.raises(SyncRefused):
            task()

    assert {member for member, _ in told("pipeline_refused")} == staff
    [payload, _] = [payload for _, payload in told("pipeline_refused")]
    assert "run `manage.py refill_clickhouse`" in payload["reason"]


def test_a_month_that_differed_is_healed_and_told(clickhouse, staff):
    at = timezone.now() - timedelta(days=40)
    purchase(MemberFactory(), BusinessFactory(), "10.00", at=at)
    sync_facts()
    reconcile_closed_months()
    assert told("pipeline_differs") == []
    clickhouse.run("TRUNCATE TABLE transaction_facts")

    reconcile_closed_months()
    reconcile_closed_months()

    assert {member for member, _ in told("pipeline_differs")} == staff
    month = at.astimezone(UTC).date().replace(day=1)
    assert told("pipeline_differs")[0][1] == {
        "table": "transaction_facts", "month": month.isoformat(), "outcome": "healed",
        "postgres_rows": 1, "clickhouse_rows": 0,
    }  # fmt: skip
    assert clickhouse.run("SELECT count() FROM transaction_facts").rows == [(1,)]


def test_warnings_cost_the_same_for_one_person_and_for_many(staff, django_assert_num_queries):
    with django_assert_num_queries(2):
        warn_of_stall(Stall(8, timedelta(minutes=8)), at=timezone.now())
