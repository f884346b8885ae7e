"""Members hear 30, 7 and 1 days before bonuses lapse, once each, and never at night."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from loyalty.models import Member, Notification
from loyalty.quiet_hours import next_waking_moment
from loyalty.services.expiry import queue_expiry_warnings
from loyalty.tasks import queue_expiry_warnings as queue_expiry_warnings_task
from tests.factories import NOON, MemberFactory, give_bonuses

pytestmark = pytest.mark.django_db

LAPSE = datetime(2027, 6, 15, 21, 0, tzinfo=UTC)  # the end of 15 June 2027 in Moscow
NIGHT = datetime(2027, 6, 15, 21, 20, tzinfo=UTC) - timedelta(days=1)  # 00:20 on 15 June in Moscow


def give(member, business, amount, *, lapse=LAPSE, **fields):
    give_bonuses(member, business, amount, expires_at=lapse, **fields)


def night(days_left):
    """Return 00:20 of the night that begins the day so many days before the last one, 15 June."""
    return NIGHT - timedelta(days=days_left)


def queued():
    rows = Notification.objects.order_by("created_at", "id")
    return [(row.payload["amount"], row.payload["expires_on"], row.payload["days"]) for row in rows]


def test_a_warning_is_a_service_message_in_the_app(member, business):
    give(member, business, "120.50")

    assert queue_expiry_warnings(at=night(30)) == 1

    message = Notification.objects.get()
    assert (message.member_id, message.channel, message.purpose) == (member.pk, "inapp", "service")
    assert (message.template, message.status) == ("bonuses_expiring", "queued")
    assert message.payload == {"amount": "120.50", "expires_on": "2027-06-15", "days": 30}
    assert message.dedupe_key == f"expiry:{member.pk}:2027-06-15:30"
    assert message.send_after == datetime(2027, 5, 16, 6, 0, tzinfo=UTC)  # 09:00 in Moscow


def test_every_night_there_is_one_warning_at_each_step(member, business):
    give(member, business, "100.00")

    nights = [queue_expiry_warnings(at=night(days)) for days in range(40, -2, -1)]

    assert sum(nights) == 3
    assert queued() == [
        ("100.00", "2027-06-15", 30),
        ("100.00", "2027-06-15", 7),
        ("100.00", "2027-06-15", 1),
    ]


@pytest.mark.parametrize(("days_left", "step"), [(29, 30), (8, 30), (6, 7), (2, 7), (0, 1)])
def test_a_missed_night_is_made_up_for(member, business, days_left, step):
    give(member, business, "100.00")

    queue_expiry_warnings(at=night(days_left))

    assert queued() == [("100.00", "2027-06-15", days_left)]
    assert Notification.objects.get().dedupe_key.endswith(f":{step}")


def test_a_second_run_adds_nothing(member, business):
    give(member, business, "100.00")

    assert [queue_expiry_warnings(at=night(7)) for _ in range(2)] == [1, 0]

    assert len(queued()) == 1


def test_only_what_is_live_is_counted_and_each_day_apart(member, business):
    give(member, business, "100.00", left="40.00")
    give(member, business, "10.00", lapse=LAPSE - timedelta(hours=2))
    give(member, business, "5.00", lapse=LAPSE + timedelta(days=3))
    give(member, business, "7.00", left="0.00")
    give(member, business, "8.00", available_from=night(0))
    give(member, business, "9.00", lapse=LAPSE - timedelta(days=20))

    queue_expiry_warnings(at=night(7))

    assert sorted(queued()) == [("5.00", "2027-06-18", 10), ("50.00", "2027-06-15", 7)]


def test_lots_farther_off_than_the_longest_step_are_not_spoken_of(member, business):
    give(member, business, "100.00")

    assert queue_expiry_warnings(at=night(31)) == 0


def test_those_who_left_are_not_written_to(business):
    left, inactive = MemberFactory(), MemberFactory()
    for member in (left, inactive):
        give(member, business, "100.00")
    Member.objects.filter(pk=left.pk).update(anonymised_at=NOON)
    Member.objects.filter(pk=inactive.pk).update(is_active=False)

    assert queue_expiry_warnings(at=night(7)) == 0


def test_the_steps_are_a_setting(member, business, settings):
    settings.EXPIRY_WARNING_DAYS = [3]
    give(member, business, "100.00")

    assert [queue_expiry_warnings(at=night(days)) for days in (4, 3, 2, 1)] == [0, 1, 0, 0]


@pytest.mark.parametrize("count", [1, 3])
def test_warnings_cost_the_same_for_one_member_as_for_three(business, count, django_assert_num_queries):
    for _ in range(count):
        give(MemberFactory(), business, "100.00")

    with django_assert_num_queries(2):  # the lots, the messages
        assert queue_expiry_warnings(at=night(7)) == count


def test_the_warning_is_a_nightly_task():
    row = PeriodicTask.objects.select_related("crontab").get(name="queue_expiry_warnings")

    assert (row.task, row.enabled) == ("queue_expiry_warnings", True)
    assert (row.crontab.day_of_month, row.crontab.hour, row.crontab.minute) == ("*", "0", "20")
    assert queue_expiry_warnings_task() == 0


@pytest.mark.parametrize(
    ("at", "sent"),
    [
        ("2027-05-16T00:20+03:00", "2027-05-16T09:00+03:00"),
        ("2027-05-16T08:59:59+03:00", "2027-05-16T09:00+03:00"),
        ("2027-05-16T09:00+03:00", "2027-05-16T09:00+03:00"),
        ("2027-05-16T20:59:59+03:00", "2027-05-16T20:59:59+03:00"),
        ("2027-05-16T21:00+03:00", "2027-05-17T09:00+03:00"),
        ("2027-12-31T23:00+03:00", "2028-01-01T09:00+03:00"),
        # Evening in UTC, night in Moscow.
        ("2027-05-16T19:00+00:00", "2027-05-17T09:00+03:00"),
    ],
)
def test_nothing_goes_out_in_quiet_hours(at, sent):
    assert next_waking_moment(datetime.fromisoformat(at)) == datetime.fromisoformat(sent)
