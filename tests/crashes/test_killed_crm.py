"""Whoever handles a CRM's message is killed: what was answered is there, and it is recorded exactly once."""

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from loyalty.models import BonusEntry, CrmMessage, Transaction
from promos.crm.applying import apply_due, apply_message
from promos.crm.integrations import store
from tests.crashes.test_killed_purchase import post_and_be_cut_off, web_server
from tests.crashes.worker import killed
from tests.factories import BusinessFactory, MemberFactory
from tests.promos.crm.messages import connect, encoded, sale, simple
from tests.prove import at_length

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes", "sound_ledger"),
]
KILLS = at_length(briefly=2, full=20)
# Whether the purchase was committed when the worker died.
POINTS = {"checkout-before-commit": 0, "crm-before-commit": 0, "checkout-after-commit": 0}


def test_killed_between_store_and_hand_over_the_message_is_applied_by_the_schedule(proved):
    MemberFactory(phone="+79260000010")
    integration, secret = connect(BusinessFactory())
    with web_server("crm-after-store") as port:
        for number in range(KILLS):
            message = sale(f"c-{number}")
            signed = simple(secret, json.dumps(message).encode())
            post_and_be_cut_off(port, "none", message, f"crm/{integration.pk}/events", **signed)
            assert CrmMessage.objects.filter(status="received").count() == 1

            assert apply_due(until=time.monotonic() + 20) == 1
            assert Transaction.objects.count() == number + 1
    proved(f"{KILLS} kills")


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_in_the_middle_records_it_once(point, proved):
    MemberFactory(phone="+79260000010")
    integration, _ = connect(BusinessFactory())
    for number in range(KILLS):
        store(integration, {f"{number:064}": encoded(sale(f"c-{number}"))}, at=timezone.now())
        message = CrmMessage.objects.get(status="received")

        assert killed(lambda pk=message.pk: apply_message(pk, at=timezone.now()), at=point)
        assert Transaction.objects.count() == number + POINTS[point]
        message.refresh_from_db()
        assert (message.status, message.attempts) == ("received", 1)
        # Taken for a while by whoever died; then it is anybody's again.
        assert apply_message(message.pk, at=timezone.now()) is None
        assert apply_message(message.pk, at=timezone.now() + timedelta(minutes=1)) == "applied"

        assert Transaction.objects.count() == number + 1
        assert BonusEntry.objects.count() == number + 1
    proved(f"{KILLS} kills at {point}")
