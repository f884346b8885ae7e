"""Every row that the pipeline carries names the transaction that wrote it, whoever writes and however."""

from datetime import timedelta

import pytest
from django.db import connection

from events.models import Event, EventRegistration
from tests.factories import NOON, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def current_xid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return cursor.fetchone()[0]


@pytest.fixture
def registration(transactional_db):
    event = Event.objects.create(
        organiser=MemberFactory(), title="Чай", date=NOON, ends_at=NOON + timedelta(hours=1)
    )
    return EventRegistration.objects.create(event=event, member=MemberFactory(), status="registered")


def test_an_insert_is_stamped(registration):
    registration.refresh_from_db()
    assert 0 < registration.sync_xid < current_xid()


def test_an_update_is_stamped_anew_even_in_raw_sql(registration):
    registration.refresh_from_db()
    before = registration.sync_xid
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_registrations SET party_size = 2")

    registration.refresh_from_db()

    assert registration.sync_xid > before


def test_a_number_given_by_hand_is_not_believed(registration):
    before = current_xid()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_registrations SET sync_xid = 5")

    registration.refresh_from_db()

    assert registration.sync_xid > before
