"""GET and PUT me/consents, and consents given while joining."""

import pytest
from django.utils import timezone

from loyalty.models import Consent, Member
from loyalty.services.sessions import open_session
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, consent

pytestmark = pytest.mark.django_db
PHONE = "+79161234217"
anyone = Caller()
NONE = {"inapp": False, "sms": False, "email": False, "push": False}


@pytest.fixture
def me(member):
    return Caller(f"Bearer {open_session(member, at=timezone.now()).access}")


def put(me, body):
    return me.send("PUT", "me/consents", body)


def test_nothing_is_agreed_to_beforehand(me):
    answer = me.get("me/consents").json()

    texts = answer.pop("texts")
    assert answer == {"processing": False, "advertising": NONE, "partners": []}
    assert [text["purpose"] for text in texts] == ["processing", "advertising", "handover"]
    assert texts[0]["url"] == "http://testserver/consents/2026-11/processing/en/"


def test_what_is_put_holds_and_what_is_not_named_stays(me, member):
    tea = BusinessFactory(code="TEA", name="Чайная")
    consent(member, channel="push")

    said = put(
        me,
        {
            "processing": True,
            "advertising": {"inapp": True, "sms": False},
            "partners": [{"partner": "TEA", "advertising": {"inapp": False}, "handover": True}],
        },
    )

    assert said.status_code == 200
    assert said.json() == me.get("me/consents").json()
    assert said.json()["processing"] is True
    assert said.json()["advertising"] == NONE | {"inapp": True, "push": True}
    assert said.json()["partners"] == [
        {"partner": "TEA", "name": "Чайная", "advertising": NONE | {"push": True}, "handover": True}
    ]
    row = Consent.objects.get(purpose="handover")
    assert (row.member_id, row.partner_id, row.ip, row.language) == (member.pk, tea.pk, "127.0.0.1", "en")


def test_processing_is_not_withdrawn_alone(me, member):
    put(me, {"processing": True})

    answer = put(me, {"processing": False, "advertising": {"sms": True}})

    assert refusal(answer)[:2] == (409, "consent_needed_by_membership")
    assert me.get("me/consents").json()["advertising"] == NONE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"advertising": {"fax": True}}, "advertising.fax"),
        ({"advertising": {"sms": "perhaps"}}, "advertising.sms"),
        ({"advertising": True}, "advertising"),
        ({"partners": [{"partner": "NOBODY", "handover": True}]}, "partners.0.partner"),
        ({"partners": [{"partner": "KRUG", "handover": True}]}, "partners.0.partner"),
        ({"partners": [{"handover": True}]}, "partners.0.partner"),
        ({"handover": True}, "handover"),
    ],
    ids=str,
)
def test_what_is_no_decision_is_named_and_nothing_is_saved(me, body, field):
    answer = put(me, {"processing": True, **body})

    status, code, errors = refusal(answer)
    assert (status, code, [name for name, _ in errors]) == (400, "invalid", [field])
    assert not Consent.objects.exists()


def test_a_newcomer_agrees_while_joining(sent_code):
    anyone.post("auth/otp", {"phone": PHONE})
    body = {"phone": PHONE, "code": sent_code(PHONE)}

    refused = anyone.post("auth/token", body | {"consents": {"advertising": {"sms": True}}})
    assert refusal(refused) == (400, "consent_required", [("consents.processing", "consent_required")])
    assert not Member.objects.filter(phone=PHONE).exists()

    # The same code goes on working.
    consents = {"processing": True, "advertising": {"sms": True}}
    joined = anyone.post("auth/token", body | {"consents": consents})

    assert joined.json()["is_new"] is True
    rows = Consent.objects.filter(member__phone=PHONE, granted=True)
    assert {(row.purpose, row.channel) for row in rows} == {("processing", ""), ("advertising", "sms")}


def test_a_known_phone_is_let_in_without_being_asked(member, sent_code):
    anyone.post("auth/otp", {"phone": member.phone})

    answer = anyone.post("auth/token", {"phone": member.phone, "code": sent_code(member.phone)})

    assert (answer.status_code, Consent.objects.count()) == (200, 0)
