"""The queue of messages: once each, never at night, no advertising without consent."""

from datetime import UTC, datetime

import pytest

from loyalty.models import Notification
from loyalty.services.messages import Message, queue, queue_within, sendable
from svoykrug.db.sql import Write
from tests.factories import NOON, BusinessFactory, MemberFactory, consent

pytestmark = pytest.mark.django_db


def message(member, business=None, *, key="a", purpose="advertising", **fields):
    values = {"template": "coupon", "payload": {"days": 3}, "send_after": NOON, **fields}
    return Message(
        member_id=member.pk,
        partner_id=business and business.pk,
        purpose=purpose,
        dedupe_key=key,
        **values,
    )


def stored():
    return [*Notification.objects.order_by("dedupe_key").values_list("dedupe_key", "status", "last_error")]


def test_a_service_message_passes_without_any_consent(member, business):
    assert queue([message(member, business, purpose="service")]) == 1

    row = Notification.objects.get()
    assert (row.member_id, row.partner_id, row.channel, row.purpose) == (
        member.pk, business.pk, "inapp", "service",
    )  # fmt: skip
    assert (row.template, row.payload, row.dedupe_key) == ("coupon", {"days": 3}, "a")
    assert (row.status, row.last_error, row.attempts, row.send_after) == ("queued", "", 0, NOON)


def test_advertising_without_consent_is_kept_as_suppressed(member, business):
    assert queue([message(member, business)]) == 0

    assert stored() == [("a", "suppressed", "no_consent")]


def test_advertising_asks_for_the_channel_and_the_partner(business):
    refused, agreed, by_sms = MemberFactory(), MemberFactory(), MemberFactory()
    consent(refused)
    consent(refused, partner=business, granted=False)
    consent(agreed, partner=business)
    consent(by_sms, channel="sms")

    queued = queue(
        [
            message(refused, business, key="refused"),
            message(refused, BusinessFactory(), key="other partner"),
            message(refused, key="the programme"),
            message(agreed, business, key="agreed"),
            message(agreed, key="only that partner"),
            message(by_sms, business, key="wrong channel"),
            message(by_sms, business, key="sms", channel="sms"),
        ]
    )

    assert queued == 4
    assert {key for key, status, _ in stored() if status == "queued"} == {
        "other partner", "the programme", "agreed", "sms",
    }  # fmt: skip


def test_a_message_is_queued_once(member):
    messages = [message(member, purpose="service", key=key) for key in ("a", "b", "a")]

    assert [queue(messages), queue(messages)] == [2, 0]

    assert [key for key, *_ in stored()] == ["a", "b"]


def test_what_was_suppressed_stays_so_after_a_later_consent(member, business):
    queue([message(member, business)])
    consent(member)

    assert queue([message(member, business)]) == 0

    assert stored() == [("a", "suppressed", "no_consent")]


def test_quiet_hours_put_a_message_off(member):
    queue([message(member, purpose="service", send_after=datetime(2026, 6, 15, 19, 0, tzinfo=UTC))])

    assert Notification.objects.get().send_after == datetime(2026, 6, 16, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize("count", [1, 30])
def test_the_queue_costs_the_same_for_one_as_for_many(business, count, django_assert_num_queries):
    messages = [message(MemberFactory(), business, key=str(number)) for number in range(count)]

    with django_assert_num_queries(1):
        queue(messages)

    assert Notification.objects.count() == count


def test_nothing_to_queue_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert queue([]) == 0


def test_messages_go_through_the_gate_within_a_larger_statement_too(business):
    agreed, silent = MemberFactory(), MemberFactory()
    consent(agreed)

    write = Write()
    queue_within(write, [message(agreed, business, key="a"), message(silent, business, key="b")])
    write.execute()

    assert stored() == [("a", "queued", ""), ("b", "suppressed", "no_consent")]


def test_a_withdrawal_stops_what_is_queued_already(member, business):
    consent(member)
    queue([message(member, business, key="ad"), message(member, key="service", purpose="service")])
    assert [sendable(row) for row in Notification.objects.order_by("dedupe_key")] == [True, True]

    consent(member, granted=False)

    assert [sendable(row) for row in Notification.objects.order_by("dedupe_key")] == [False, True]
