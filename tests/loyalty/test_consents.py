"""Consents: what a member allowed, the gate that asks, and a log that nobody rewrites."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from loyalty.errors import ConsentNotWithdrawn
from loyalty.models import Consent
from loyalty.services.consents import (
    PROCESSING,
    Choice,
    advertising,
    decide,
    decisions,
    handover,
    may_advertise,
    may_see_person,
    stop_advertising,
)
from tests.factories import NOON, BusinessFactory, MemberFactory, consent

pytestmark = pytest.mark.django_db


def say(member, *, granted=(), withdrawn=(), at=NOON):
    choice = Choice(frozenset(granted), frozenset(withdrawn))
    return decide(choice, member_id=member.pk, language="ru", ip="192.0.2.7", at=at)


def consents_to(member, business=None, channel="inapp"):
    agreed = may_advertise([member.pk], channel=channel, partner_id=business and business.pk)
    return agreed == {member.pk}


def test_who_never_decided_does_not_consent(member, business):
    assert not consents_to(member, business)
    assert not consents_to(member)


def test_consent_counts_for_its_channel_only(member, business):
    consent(member, channel="sms")

    assert consents_to(member, business, "sms")
    assert not consents_to(member, business, "inapp")


def test_the_decision_recorded_last_decides(member, business):
    for granted in (True, False, True, False):
        consent(member, granted=granted)
        assert consents_to(member, business) is granted


def test_a_clock_that_is_ahead_does_not_outlive_a_withdrawal(member, business):
    say(member, granted=[advertising("inapp")], at=NOON + timedelta(minutes=5))

    say(member, withdrawn=[advertising("inapp")], at=NOON)

    assert not consents_to(member, business)


def test_one_partner_may_be_refused(member, business):
    consent(member)
    consent(member, partner=business, granted=False)

    assert not consents_to(member, business)
    assert consents_to(member, BusinessFactory())
    assert consents_to(member)


def test_one_partner_may_be_allowed(member, business):
    consent(member, partner=business)

    assert consents_to(member, business)
    assert not consents_to(member, BusinessFactory())
    assert not consents_to(member)


def test_agreeing_for_the_circle_leaves_a_refused_partner_refused(member, business):
    consent(member)
    consent(member, partner=business, granted=False)
    consent(member, granted=False)

    consent(member)

    assert not consents_to(member, business)


def test_a_no_for_the_circle_is_a_no_for_every_partner_allowed_apart(member, business):
    consent(member)
    consent(member, partner=business, granted=False)
    consent(member, partner=business)
    consent(member, partner=business, channel="sms")

    assert say(member, withdrawn=[advertising("inapp")]) == 2

    assert not consents_to(member, business)
    assert consents_to(member, business, "sms")


def test_a_partner_named_in_the_same_breath_stays_as_said(member, business):
    other = BusinessFactory()
    consent(member)
    consent(member, partner=other, granted=False)

    say(member, withdrawn=[advertising("inapp")], granted=[advertising("inapp", business.pk)])
    assert (consents_to(member, business), consents_to(member)) == (True, False)

    say(member, granted=[advertising("inapp")], withdrawn=[advertising("inapp", business.pk)])
    assert (consents_to(member, business), consents_to(member)) == (False, True)


def test_a_refusal_that_comes_with_the_first_yes_is_kept(member, business):
    said = say(member, granted=[advertising("inapp")], withdrawn=[advertising("inapp", business.pk)])

    assert said == 2
    assert not consents_to(member, business)


def test_what_is_so_already_is_not_recorded_again(member, business):
    everything = [PROCESSING, advertising("sms"), advertising("sms", business.pk), handover(business.pk)]

    assert say(member, granted=everything) == 3  # the partner is in the circle
    assert say(member, granted=everything, withdrawn=[advertising("push")]) == 0

    assert Consent.objects.count() == 3


def test_a_decision_keeps_text_language_address_and_time(member):
    say(member, granted=[PROCESSING])

    row = Consent.objects.get()
    assert (row.member_id, row.purpose, row.channel, row.partner_id) == (member.pk, "processing", "", None)
    assert (row.granted, row.ip, row.language, row.created_at) == (True, "192.0.2.7", "ru", NOON)
    assert (row.text_version, len(row.text_hash)) == ("2026-11", 64)


def test_the_gate_asks_once_for_many_members(business, django_assert_num_queries):
    members = [MemberFactory() for _ in range(4)]
    for member in members[:3]:
        consent(member)
    consent(members[0], partner=business, granted=False)
    ids = [member.pk for member in members]

    with django_assert_num_queries(1):
        assert may_advertise(ids, channel="inapp", partner_id=business.pk) == set(ids[1:3])
    assert may_advertise([], channel="inapp", partner_id=business.pk) == set()


def test_a_partner_sees_whom_it_was_allowed_to(business, django_assert_num_queries):
    allowed, withdrawn, stranger = MemberFactory(), MemberFactory(), MemberFactory()
    for member in (allowed, withdrawn):
        consent(member, purpose="handover", partner=business)
    consent(withdrawn, purpose="handover", partner=business, granted=False)
    ids = [allowed.pk, withdrawn.pk, stranger.pk]

    with django_assert_num_queries(1):
        assert may_see_person(ids, business.pk) == {allowed.pk}
    other = BusinessFactory().pk
    assert may_see_person(ids, other) == set()
    assert may_see_person(ids, other, business.pk) == {allowed.pk}


def test_no_advertising_at_all_ends_every_exception(member, business):
    consent(member)
    consent(member, channel="sms", partner=business)
    consent(member, purpose="handover", partner=business)

    assert stop_advertising(member_id=member.pk, language="ru", ip=None, at=NOON) == 2

    assert not consents_to(member)
    assert not consents_to(member, business, "sms")
    assert may_see_person([member.pk], business.pk) == {member.pk}


def test_consent_to_processing_ends_with_membership_only(member):
    say(member, granted=[PROCESSING])

    with pytest.raises(ConsentNotWithdrawn):
        say(member, withdrawn=[PROCESSING, advertising("sms")])

    assert Consent.objects.count() == 1


def test_decisions_are_the_latest_of_each_subject(member, business):
    consent(member)
    consent(member, granted=False)
    consent(member, purpose="handover", partner=business)

    latest = decisions(member.pk)
    assert {subject: row.granted for subject, row in latest.items()} == {
        advertising("inapp"): False,
        handover(business.pk): True,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "advertising", "channel": ""},
        {"purpose": "processing", "channel": "sms"},
        {"purpose": "handover"},
        {"purpose": "processing", "partner": True},
    ],
    ids=str,
)
def test_the_database_refuses_a_consent_that_says_too_little_or_too_much(member, business, fields):
    if fields.get("partner"):
        fields = {**fields, "partner": business}
    with pytest.raises(IntegrityError, match="consents_name_the"):
        Consent.objects.create(
            member=member, granted=True, text_version="2026-11", text_hash="", language="ru", **fields
        )
