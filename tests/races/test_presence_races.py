"""A member's code is spent by one of many receipts, and parallel guesses get no more tries than five."""

from threading import Barrier
from uuid import uuid4

import pytest

from loyalty.errors import PresenceCodeInvalid
from loyalty.services import presence
from loyalty.services.presence import check_code, issue_code, spend_code
from svoykrug.redis_client import redis_client
from tests.factories import NOON

pytestmark = pytest.mark.usefixtures("own_codes")
RECEIPTS, GUESSES = 8, 12


def spends():
    """One live code, and calls that spend it by different receipts."""
    member_id = uuid4()
    code = issue_code(member_id, at=NOON).code

    def spend(number):
        return lambda: spend_code(code, member_id, receipt=f"T001:{number}", at=NOON)

    return [spend(number) for number in range(RECEIPTS)]


def test_one_code_is_spent_by_one_of_many_receipts(at_once):
    results = at_once(*spends())

    assert results.count(None) == 1
    assert [type(result) for result in results].count(PresenceCodeInvalid) == RECEIPTS - 1


def test_spent_in_two_steps_one_code_pays_many_receipts(at_once, monkeypatch):
    looked = Barrier(RECEIPTS)

    class TwoSteps:
        """Looks first and writes afterwards, as code without the script would."""

        def eval(self, _script, _count, key, *arguments):
            receipt = redis_client().hget(key, "receipt")
            looked.wait(timeout=60)
            redis_client().hset(key, "receipt", arguments[4])
            return int(receipt is None)

    calls = spends()
    monkeypatch.setattr(presence, "redis_client", TwoSteps)

    assert at_once(*calls).count(None) == RECEIPTS


def guessed_at_once(at_once):
    """Guess wrong from many threads; return the right code, its member and the till."""
    member_id, till = uuid4(), uuid4()
    code = issue_code(member_id, at=NOON).code
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    results = at_once(*[lambda: check_code(wrong, member_id, till=till, at=NOON)] * GUESSES)
    return results, lambda: check_code(code, member_id, till=till, at=NOON)


def test_parallel_guesses_get_no_more_tries_than_five(at_once):
    results, check = guessed_at_once(at_once)

    assert {type(result) for result in results} == {PresenceCodeInvalid}
    # Four were looked at and refused, the fifth locked the till, the rest were not looked at.
    assert [result.details for result in results].count({}) == 4
    with pytest.raises(PresenceCodeInvalid):
        check()


def test_without_the_count_guessing_goes_on(at_once, monkeypatch):
    uncounted = presence.LOOK.partition("redis.call('LPUSH'")[0] + "return {'', 0}"
    monkeypatch.setattr(presence, "LOOK", uncounted)
    results, check = guessed_at_once(at_once)

    assert [result.details for result in results].count({}) == GUESSES
    assert check() is None


def test_one_member_asking_twice_at_once_gets_one_code(at_once):
    member_id = uuid4()
    codes = at_once(*[lambda: issue_code(member_id, at=NOON)] * RECEIPTS)

    assert len({code.code for code in codes}) == 1
