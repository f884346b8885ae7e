"""A till that waits for a member's row in vain is told to come again, and nothing is recorded."""

from threading import Event, Thread

import pytest
from django.db import connection, connections
from django.db.transaction import atomic

from loyalty.locks import lock_members
from loyalty.models import Transaction
from loyalty.services.api_keys import create_api_key
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def busy_member():
    """A member whose row another connection holds until the test ends."""
    member, held, done = MemberFactory(), Event(), Event()

    def hold():
        try:
            with atomic():
                lock_members([member.pk])
                held.set()
                done.wait(timeout=60)
        finally:
            connections.close_all()

    thread = Thread(target=hold)
    thread.start()
    held.wait(timeout=60)
    yield member
    done.set()
    thread.join()


def test_lock_held_too_long_answers_503(busy_member):
    till = Caller(f"Api-Key {create_api_key(business=BusinessFactory())[1]}")
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
    body = {"external_id": "1", "member": {"phone": busy_member.phone}, "amount": "1.00"}

    answers = [till.post("transactions", body), till.post("transactions/batch", [body])]
    connections.close_all()  # The short timeout goes with the connection.

    for answer in answers:
        assert refusal(answer) == (503, "unavailable", [])
        assert answer["Retry-After"] == "1"
    assert not Transaction.objects.exists()
