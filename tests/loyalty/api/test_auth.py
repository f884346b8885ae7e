"""Sign-in over HTTP: the same answer for all, tokens that work, refusals as problems."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from loyalty.models import Member, Session
from loyalty.services.sessions import open_session, refresh_session
from tests.api import JOINING, Caller, refusal
from tests.factories import MemberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79161234217"
anyone = Caller()


@pytest.fixture
def tokens(sent_code):
    anyone.post("auth/otp", {"phone": PHONE})
    return anyone.post("auth/token", {"phone": PHONE, "code": sent_code(PHONE), **JOINING}).json()


def test_first_code_joins_and_its_token_opens_own_data(tokens):
    assert tokens["is_new"] is True
    assert set(tokens) == {"access", "refresh", "is_new"}

    me = Caller(f"Bearer {tokens['access']}").get("me")

    assert (me.status_code, me.json()["phone"]) == (200, PHONE)


def test_known_and_unknown_phones_get_the_same_answer():
    known = MemberFactory()

    answers = [anyone.post("auth/otp", {"phone": phone}) for phone in (known.phone, PHONE)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert Member.objects.count() == 1


def test_wrong_code_is_not_let_in(sent_code):
    anyone.post("auth/otp", {"phone": PHONE})
    wrong = f"{(int(sent_code(PHONE)) + 1) % 1_000_000:06}"

    answer = anyone.post("auth/token", {"phone": PHONE, "code": wrong})

    assert refusal(answer) == (401, "not_authenticated", [("code", "not_authenticated")])
    assert not Session.objects.exists()


def test_limit_says_when_to_come_again(settings):
    settings.OTP_REQUESTS_PER_PHONE = 0

    answer = anyone.post("auth/otp", {"phone": PHONE})

    assert refusal(answer) == (429, "throttled", [])
    assert 1 <= int(answer["Retry-After"]) <= 900


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("phone", "required")]),
        ({"phone": "12"}, [("phone", "invalid")]),
        ({"phone": None}, [("phone", "null")]),
        ({"phone": [PHONE]}, [("phone", "invalid")]),
        ({"phone": PHONE, "captcha": "1"}, [("captcha", "unknown_field")]),
        ([], [("", "invalid")]),
    ],
)
def test_body_of_a_code_request_is_checked(body, errors):
    assert refusal(anyone.post("auth/otp", body)) == (400, "invalid", errors)


@pytest.mark.parametrize("code", ["12345", "abcdef", "１２３４５６", "1234567", ""])
def test_what_is_no_code_is_refused_before_it_counts(code):
    answer = anyone.post("auth/token", {"phone": PHONE, "code": code})

    assert refusal(answer)[:2] == (400, "invalid")


def test_refresh_and_logout(tokens):
    fresh = anyone.post("auth/token/refresh", {"refresh": tokens["refresh"]}).json()
    assert set(fresh) == {"access", "refresh"}

    assert anyone.post("auth/logout", {"refresh": fresh["refresh"]}).status_code == 204

    answer = Caller(f"Bearer {fresh['access']}").get("me")
    assert refusal(answer) == (401, "not_authenticated", [])
    assert answer["WWW-Authenticate"] == "Bearer"


def test_reused_refresh_token_ends_the_session(tokens, settings):
    settings.REFRESH_GRACE_SECONDS = -1
    fresh = anyone.post("auth/token/refresh", {"refresh": tokens["refresh"]}).json()

    reused = anyone.post("auth/token/refresh", {"refresh": tokens["refresh"]})

    assert refusal(reused) == (401, "not_authenticated", [("refresh", "not_authenticated")])
    assert refusal(Caller(f"Bearer {fresh['access']}").get("me"))[:2] == (401, "not_authenticated")


@pytest.mark.parametrize("refresh", ["x", "x" * 200, "\udcff"])
def test_unknown_refresh_token_is_refused(refresh):
    answer = anyone.post("auth/token/refresh", {"refresh": refresh})

    assert answer.status_code in {400, 401}
    refusal(answer)


def signed_in(member, **device):
    return Caller(f"Bearer {open_session(member, at=timezone.now(), **device).access}")


def test_devices_are_listed_and_one_is_signed_out_at_once(member):
    old = timezone.now() - timedelta(days=2)
    first = open_session(member, at=old, user_agent="Phone", ip="192.0.2.1")
    phone = refresh_session(first.refresh, at=timezone.now(), user_agent="Phone", ip="192.0.2.2")
    tablet = signed_in(member, user_agent="Tablet")
    signed_in(MemberFactory(), user_agent="Stranger")
    open_session(member, at=timezone.now() - timedelta(days=31), user_agent="Long gone")

    listed = tablet.get("auth/sessions").json()

    assert set(listed) == {"next", "previous", "results"}
    shown = {row["user_agent"]: row for row in listed["results"]}
    assert {name: row["current"] for name, row in shown.items()} == {"Phone": False, "Tablet": True}
    assert shown["Phone"]["ip"] == "192.0.2.2"
    assert datetime.fromisoformat(shown["Phone"]["signed_in_at"]) == old

    gone = [tablet.delete(f"auth/sessions/{shown['Phone']['id']}") for _ in range(2)]

    assert [answer.status_code for answer in gone] == [204, 404]
    assert Caller(f"Bearer {phone.access}").get("me").status_code == 401
    assert refusal(anyone.post("auth/token/refresh", {"refresh": phone.refresh}))[0] == 401
    assert [row["user_agent"] for row in tablet.get("auth/sessions").json()["results"]] == ["Tablet"]


def test_anothers_device_is_not_found_and_stays_signed_in(member):
    stranger = signed_in(MemberFactory())
    (device,) = stranger.get("auth/sessions").json()["results"]

    answer = signed_in(member).delete(f"auth/sessions/{device['id']}")

    assert refusal(answer)[:2] == (404, "not_found")
    assert stranger.get("me").status_code == 200


@pytest.mark.parametrize("devices", [1, 3])
def test_the_list_of_devices_costs_two_queries(member, devices, django_assert_num_queries):
    for _ in range(devices - 1):
        open_session(member, at=timezone.now())
    caller = signed_in(member)

    with django_assert_num_queries(2):
        assert len(caller.get("auth/sessions").json()["results"]) == devices
