"""Codes and refresh tokens let one of many parallel callers in."""

import re
import uuid

import pytest
from django.db import IntegrityError
from django.utils import timezone

from loyalty.errors import CodeRefused
from loyalty.models import Member, Session
from loyalty.services import otp, sessions
from loyalty.services.otp import request_code, verify_code
from loyalty.services.sessions import Tokens, open_session, refresh_session
from tests.factories import JOINING, NOON, MemberFactory
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
PHONE, IP, CALLERS = "+79161234217", "192.0.2.1", 20
ROUNDS = at_length(briefly=3, full=200)


@pytest.fixture
def code(settings, caplog):
    settings.SECRET_KEY = uuid.uuid4().hex
    request_code(PHONE, ip=IP, at=NOON)
    return re.search(r"\d{6}$", caplog.records[-1].getMessage())[0]


def verify(code):
    return lambda: verify_code(PHONE, code, ip=IP, at=NOON, consents=JOINING)


def let_in(results):
    return [result for result in results if not isinstance(result, Exception)]


def test_one_code_lets_one_of_many_in(code, at_once):
    results = at_once(*[verify(code)] * 5)

    assert [type(result) for result in results].count(CodeRefused) == 4
    assert len(let_in(results)) == 1
    assert Member.objects.count() == 1


def test_without_the_single_spend_one_code_lets_many_in(code, at_once, monkeypatch):
    monkeypatch.setattr(otp, "SPEND", "return 1")

    assert len(let_in(at_once(*[verify(code)] * 5))) > 1


def test_parallel_guesses_get_no_more_tries_than_five(code, at_once):
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    at_once(*[verify(wrong)] * CALLERS)

    with pytest.raises(CodeRefused):
        verify(code)()


def test_without_the_count_guessing_goes_on(code, at_once, monkeypatch):
    monkeypatch.setattr(otp, "TRY", "return redis.call('HGET', KEYS[1], 'digest')")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    at_once(*[verify(wrong)] * CALLERS)

    assert verify(code)()[1]


def refreshed_at_once(at_once):
    token = open_session(MemberFactory(), at=timezone.now()).refresh
    return at_once(*[lambda: refresh_session(token, at=timezone.now())] * CALLERS)


def test_parallel_uses_of_a_refresh_token_make_one_successor(at_once, proved):
    for number in range(1, ROUNDS + 1):
        results = refreshed_at_once(at_once)

        assert {type(result) for result in results} == {Tokens}
        assert len({result.refresh for result in results}) == 1
        assert Session.objects.filter(rotated_at=None, revoked_at=None).count() == number
        assert Session.objects.count() == 2 * number
    proved(f"{ROUNDS} tokens, {CALLERS} uses of each at once")


def test_without_the_lock_parallel_uses_break_one_another(at_once, monkeypatch):
    def unlocked(refresh):
        return Session.objects.filter(token_hash=sessions._hash(refresh)).first()

    monkeypatch.setattr(sessions, "_locked", unlocked)

    broken = [
        [type(result) for result in refreshed_at_once(at_once)].count(IntegrityError)
        for _round in range(5)  # Threads need not meet the first time.
    ]
    assert max(broken) > 0
