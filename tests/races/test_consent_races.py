"""A no for the whole circle and a yes to one partner at the same moment: one of them is the later."""

from threading import Event

import pytest
from django.db.transaction import atomic

from loyalty import locks
from loyalty.models import Notification
from loyalty.services.consents import may_advertise
from loyalty.services.messages import Message, queue, sendable
from tests.factories import NOON, BusinessFactory, MemberFactory, consent

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def race(at_once, *, patience=1.5):
    """Allow a partner and, before that is stored, withdraw for the circle."""
    member, partner = MemberFactory(), BusinessFactory()
    consent(member)
    consent(member, partner=partner, granted=False)
    allowed, withdrawn = Event(), Event()

    def allow():
        with atomic():
            consent(member, partner=partner)
            allowed.set()
            # With the lock the other one waits for the end of this transaction.
            withdrawn.wait(timeout=patience)

    def withdraw():
        assert allowed.wait(timeout=60)
        consent(member, granted=False)
        withdrawn.set()

    assert at_once(allow, withdraw) == [None, None]
    return may_advertise([member.pk], channel="inapp", partner_id=partner.pk) == {member.pk}


def test_a_no_after_a_yes_withdraws_that_too(at_once):
    assert race(at_once) is False


def test_without_the_lock_the_yes_outlives_the_no(monkeypatch, at_once):
    monkeypatch.setattr(locks, "LOCK_MEMBERS", locks.LOCK_MEMBERS.replace("FOR NO KEY UPDATE", ""))

    assert race(at_once, patience=60) is True


def test_advertising_queued_beside_a_withdrawal_does_not_leave(at_once):
    """The queue takes no lock: whichever is first, the gate is asked again before a message leaves."""
    member = MemberFactory()
    consent(member)
    queued, withdrawn = Event(), Event()

    def enqueue():
        with atomic():
            queue([Message(member.pk, "offer", {}, "advertising", None, "race", NOON)])
            queued.set()
            # Recorded and answered while the message is not yet visible to anybody.
            assert withdrawn.wait(timeout=60)

    def withdraw():
        queued.wait(timeout=60)
        consent(member, granted=False)
        withdrawn.set()

    assert at_once(enqueue, withdraw) == [None, None]

    message = Notification.objects.get()
    assert (message.status, sendable(message)) == ("queued", False)
