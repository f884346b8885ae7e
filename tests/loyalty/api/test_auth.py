"""Sign-in over HTTP: the same answer for all, tokens that work, refusals as problems."""

import pytest

from loyalty.models import Member, Session
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


def test_reused_refresh_token_ends_the_session(tokens):
    fresh = anyone.post("auth/token/refresh", {"refresh": tokens["refresh"]}).json()

    reused = anyone.post("auth/token/refresh", {"refresh": tokens["refresh"]})

    assert refusal(reused) == (401, "not_authenticated", [("refresh", "not_authenticated")])
    assert refusal(Caller(f"Bearer {fresh['access']}").get("me"))[:2] == (401, "not_authenticated")


@pytest.mark.parametrize("refresh", ["x", "x" * 200, "\udcff"])
def test_unknown_refresh_token_is_refused(refresh):
    answer = anyone.post("auth/token/refresh", {"refresh": refresh})

    assert answer.status_code in {400, 401}
    refusal(answer)
