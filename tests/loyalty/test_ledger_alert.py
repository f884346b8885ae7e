"""The nightly audit: silent while the ledger is sound, else the programme's people hear of it once a day."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from loyalty.errors import LedgerWrong
from loyalty.models import Bonus, Business, Notification
from loyalty.services.staff_alerts import warn_of_wrong_rows
from loyalty.services.verification import CHECKS, Finding, Wrong
from loyalty.tasks import verify_ledger
from tests.factories import BusinessFactory, MemberFactory, StaffFactory, give_bonuses


@pytest.fixture
def staff(db):
    """Somebody of the programme; beside them an owner, and somebody who left."""
    programme = Business.objects.get(is_programme=True)
    StaffFactory()
    StaffFactory(business=programme, member=MemberFactory(is_staff=True, is_active=False))
    return StaffFactory(business=programme).member


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_wrong_row_is_told_to_the_programmes_people_and_fails_the_run(staff, caplog):
    member = MemberFactory()
    give_bonuses(member, BusinessFactory(), "10.00", at=timezone.now() - timedelta(days=2))
    verify_ledger()
    assert not Notification.objects.exists()
    balance = Bonus.objects.get(member=member)
    with connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; UPDATE bonuses SET balance = 77 WHERE id = %s;"
            " SET session_replication_role = origin",
            [balance.pk],
        )

    for _ in range(2):
        with pytest.raises(LedgerWrong, match=r"manage\.py verify_ledger"):
            verify_ledger()

    [told] = Notification.objects.filter(template="ledger_wrong")
    assert (told.member, told.purpose, told.status) == (staff, "service", "queued")
    rules = {each["rule"]: each for each in told.payload["rules"]}
    assert rules["each balance is what the member's last entry says"] == {
        "rule": "each balance is what the member's last entry says", "wrong": 1, "table": "bonuses",
        "first": str(balance.pk),
    }  # fmt: skip
    wrong = f"each balance is what the member's last entry says: 1 wrong, the first is bonuses {balance.pk}"
    assert wrong in caplog.text


def test_the_next_day_it_is_told_again(staff, django_assert_num_queries):
    at = timezone.now()
    finding = Finding(CHECKS[0], rows=2, wrong=1, first=Wrong("row", "member", "what"), seconds=0.1)

    assert [warn_of_wrong_rows([finding], at=at + timedelta(days=days)) for days in (0, 0, 1)] == [1, 0, 1]
    with django_assert_num_queries(2):
        warn_of_wrong_rows([finding], at=at + timedelta(days=2))


@pytest.mark.django_db
def test_the_audit_is_on_the_schedule():
    row = PeriodicTask.objects.select_related("crontab").get(name="verify_ledger")

    assert (row.task, row.crontab.hour, row.crontab.minute, row.enabled) == ("verify_ledger", "4", "10", True)
