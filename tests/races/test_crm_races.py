"""One message of a CRM, many times at once: kept once, taken by one worker, recorded once."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from loyalty.models import CrmMessage, Transaction
from promos.crm import applying
from promos.crm.applying import apply_message
from promos.crm.integrations import store
from promos.tasks import apply_crm_message
from tests.factories import BusinessFactory, MemberFactory
from tests.promos.crm.messages import connect, encoded, sale, send, simple, standard

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes", "sound_ledger"),
]
TIMES = 20
BODY = encoded(sale())


@pytest.fixture
def crm(monkeypatch):
    """An integration of a member's shop; its worker is whoever stored the message, at once."""
    monkeypatch.setattr(apply_crm_message, "delay", apply_crm_message)
    MemberFactory(phone="+79260000010")
    return connect(BusinessFactory())


@pytest.mark.parametrize("sign", [standard, simple])
def test_one_message_posted_twenty_times_at_once(crm, at_once, sign):
    integration, secret = crm
    signed = sign(secret, BODY)

    answers = at_once(*[lambda: send(integration, BODY, signed)] * TIMES)

    message = CrmMessage.objects.get()
    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [
        (202, str(message.pk))
    ] * TIMES
    assert message.status == "applied"
    assert Transaction.objects.count() == 1


def test_one_sale_in_twenty_messages_at_once(crm, at_once):
    integration, secret = crm
    signed = [standard(secret, BODY, name=f"m-{number}") for number in range(TIMES)]

    answers = at_once(*[lambda each=each: send(integration, BODY, each) for each in signed])

    assert {answer.status_code for answer in answers} == {202}
    for message_id in CrmMessage.objects.exclude(next_attempt_at=None).values_list("pk", flat=True):
        # One that waited too long for the member was put off.
        apply_message(message_id, at=timezone.now() + timedelta(minutes=1))
    statuses = sorted(CrmMessage.objects.values_list("status", flat=True))
    assert statuses == ["applied", *["duplicate"] * (TIMES - 1)]
    assert Transaction.objects.count() == 1


def takers(integration, at_once, number):
    """Return how many of eight workers took one message."""
    at = timezone.now()
    store(integration, {f"{number:064}": BODY}, at=at)
    message_id = CrmMessage.objects.get(digest=f"{number:064}").pk
    return sum(at_once(*[lambda: applying._take(message_id, at)] * 8))


def test_one_worker_takes_a_message(crm, at_once):
    assert [takers(crm[0], at_once, number) for number in range(5)] == [1] * 5


def test_looking_first_and_taking_afterwards_several_would(crm, at_once, monkeypatch):
    def look_then_take(message_id, at):
        due = CrmMessage.objects.filter(pk=message_id, next_attempt_at__lte=at)
        if not due.exists():
            return False
        later = {"attempts": F("attempts") + 1, "next_attempt_at": at + timedelta(minutes=1)}
        return bool(CrmMessage.objects.filter(pk=message_id).update(**later))

    monkeypatch.setattr(applying, "_take", look_then_take)

    assert max(takers(crm[0], at_once, number) for number in range(10)) > 1
