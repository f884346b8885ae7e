"""A member's code proves presence at the till: it lives a minute, is spent once, and cannot be guessed."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from loyalty.errors import CodeRefused, PresenceCodeInvalid, PresenceUnavailable, TooManyRequests
from loyalty.services import limits, presence
from loyalty.services.otp import request_code, verify_code
from loyalty.services.presence import (
    check_code,
    issue_code,
    member_of_code,
    send_code,
    send_code_if_known,
    spend_code,
)
from svoykrug.redis_client import redis_client
from tests.factories import NOON, MemberFactory
from tests.receivers import no_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
ANNA, BORIS = uuid4(), uuid4()
PHONE = "+79161234217"


@pytest.fixture
def till():
    return uuid4()


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def other_than(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


def guess(till, code, *, times=1, at=NOON):
    for _try in range(times):
        with pytest.raises(PresenceCodeInvalid):
            member_of_code(code, till=till, at=at)


# --- A code that is shown ----------------------------------------------------------------------------


def test_code_names_its_member_for_a_minute(till):
    shown = issue_code(ANNA, at=NOON)

    assert re.fullmatch(r"[0-9]{6}", shown.code)
    assert (shown.expires_at, shown.seconds_left(NOON)) == (after(60), 60)
    assert member_of_code(shown.code, till=till, at=after(59)) == ANNA
    with pytest.raises(PresenceCodeInvalid):
        member_of_code(shown.code, till=till, at=after(60))


@pytest.mark.parametrize("spelling", ["{0}{1}", "SVOYKRUG:{0}{1}", " svoykrug:{0}{1}\r", "{0} {1}"])
def test_code_is_read_as_scanned_or_typed(till, spelling):
    shown = issue_code(ANNA, at=NOON)
    text = spelling.format(shown.code[:3], shown.code[3:])

    check_code(text, ANNA, till=till, at=NOON)
    assert member_of_code(text, till=till, at=NOON) == ANNA


def test_what_the_qr_carries_is_a_code(till):
    shown = issue_code(ANNA, at=NOON)

    assert shown.qr == f"SVOYKRUG:{shown.code}"
    assert member_of_code(shown.qr, till=till, at=NOON) == ANNA


def test_code_is_the_same_while_fifteen_seconds_are_left(till):
    first = issue_code(ANNA, at=NOON)

    assert issue_code(ANNA, at=after(45)) == first
    second = issue_code(ANNA, at=after(46))
    assert (second.code != first.code, second.expires_at) == (True, after(106))
    assert member_of_code(first.code, till=till, at=after(59)) == ANNA
    assert member_of_code(second.code, till=till, at=after(59)) == ANNA


def test_members_never_share_live_digits(monkeypatch, till):
    digits = iter(["111111", "111111", "111111", "222222", "222222"])
    monkeypatch.setattr(presence, "_digits_of", lambda _nonce: next(digits))
    first, second = issue_code(ANNA, at=NOON), issue_code(BORIS, at=NOON)

    assert (first.code, second.code) == ("111111", "222222")
    assert member_of_code("111111", till=till, at=NOON) == ANNA


def test_no_free_digits_are_said_plainly(monkeypatch):
    monkeypatch.setattr(presence, "_digits_of", lambda _nonce: "111111")
    issue_code(ANNA, at=NOON)

    with pytest.raises(PresenceUnavailable):
        issue_code(BORIS, at=NOON)


def test_code_of_another_member_is_refused(till):
    shown = issue_code(ANNA, at=NOON)

    with pytest.raises(PresenceCodeInvalid):
        check_code(shown.code, BORIS, till=till, at=NOON)
    with pytest.raises(PresenceCodeInvalid):
        spend_code(shown.code, BORIS, receipt="1", at=NOON)
    spend_code(shown.code, ANNA, receipt="1", at=NOON)


# --- Spending ----------------------------------------------------------------------------------------


def test_code_is_spent_by_one_receipt(till):
    shown = issue_code(ANNA, at=NOON)
    spend_code(shown.code, ANNA, receipt="T001:1", at=NOON)

    with pytest.raises(PresenceCodeInvalid):
        spend_code(shown.code, ANNA, receipt="T001:2", at=NOON)
    for receipt in (None, "T001:2"):
        with pytest.raises(PresenceCodeInvalid):
            check_code(shown.code, ANNA, till=till, at=NOON, receipt=receipt)
        with pytest.raises(PresenceCodeInvalid):
            member_of_code(shown.code, till=uuid4(), at=NOON, receipt=receipt)


def test_the_receipt_that_spent_a_code_may_repeat_even_when_it_ran_out(till):
    shown = issue_code(ANNA, at=NOON)
    spend_code(shown.code, ANNA, receipt="T001:1", at=NOON)

    check_code(shown.code, ANNA, till=till, at=after(300), receipt="T001:1")
    assert member_of_code(shown.code, till=till, at=after(300), receipt="T001:1") == ANNA
    spend_code(shown.code, ANNA, receipt="T001:1", at=after(300))


def test_spent_code_is_replaced_at_once():
    first = issue_code(ANNA, at=NOON)
    spend_code(first.code, ANNA, receipt="1", at=after(5))

    second = issue_code(ANNA, at=after(5))
    assert (second.code != first.code, second.expires_at) == (True, after(65))


def test_spending_an_earlier_code_leaves_the_newer_one():
    first = issue_code(ANNA, at=NOON)
    second = issue_code(ANNA, at=after(50))
    spend_code(first.code, ANNA, receipt="1", at=after(55))

    assert issue_code(ANNA, at=after(55)) == second


def test_code_that_ran_out_cannot_be_spent():
    shown = issue_code(ANNA, at=NOON)

    with pytest.raises(PresenceCodeInvalid):
        spend_code(shown.code, ANNA, receipt="1", at=after(60))


# --- Guessing ----------------------------------------------------------------------------------------


def test_five_wrong_codes_lock_the_till_for_fifteen_minutes(till):
    shown = issue_code(ANNA, at=NOON)
    guess(till, other_than(shown.code), times=4)
    with pytest.raises(PresenceCodeInvalid) as fifth:
        check_code(shown.code, BORIS, till=till, at=NOON)

    assert fifth.value.details == {"retry_after": 900}
    late = issue_code(ANNA, at=after(890)).code
    with pytest.raises(PresenceCodeInvalid) as locked:
        check_code(late, ANNA, till=till, at=after(899))
    assert locked.value.details == {"retry_after": 1}
    check_code(late, ANNA, till=till, at=after(900))


def test_other_tills_are_not_locked(till):
    shown = issue_code(ANNA, at=NOON)
    guess(till, other_than(shown.code), times=5)

    assert member_of_code(shown.code, till=uuid4(), at=NOON) == ANNA


def test_a_wrong_code_is_forgotten_after_fifteen_minutes(till):
    shown = issue_code(ANNA, at=after(890))
    wrong = other_than(shown.code)
    guess(till, wrong, at=NOON)
    guess(till, wrong, times=3, at=after(890))
    guess(till, wrong, at=after(900))

    assert member_of_code(shown.code, till=till, at=after(900)) == ANNA


def test_wrong_codes_on_both_sides_of_a_quarter_add_up(till):
    wrong = other_than(issue_code(ANNA, at=NOON).code)
    guess(till, wrong, times=2, at=after(890))
    guess(till, wrong, times=3, at=after(910))

    with pytest.raises(PresenceCodeInvalid) as locked:
        member_of_code(wrong, till=till, at=after(911))
    assert locked.value.details == {"retry_after": 899}


def test_right_code_clears_the_count(till):
    shown = issue_code(ANNA, at=NOON)
    guess(till, other_than(shown.code), times=4)
    check_code(shown.code, ANNA, till=till, at=NOON)
    guess(till, other_than(shown.code), times=4)

    assert member_of_code(shown.code, till=till, at=NOON) == ANNA


def test_one_right_code_does_not_buy_endless_guesses(till):
    shown = issue_code(ANNA, at=NOON)
    assert member_of_code(shown.code, till=till, at=NOON) == ANNA
    guess(till, other_than(shown.code), times=4)
    assert member_of_code(shown.code, till=till, at=NOON) == ANNA
    guess(till, other_than(shown.code))

    with pytest.raises(PresenceCodeInvalid) as locked:
        member_of_code(shown.code, till=till, at=NOON)
    assert locked.value.details == {"retry_after": 900}


# --- A code that is sent -----------------------------------------------------------------------------


def test_sent_code_lives_five_minutes_and_is_spent_once(till, told_code):
    anna = MemberFactory(phone=PHONE)
    send_code(anna, till=till, at=NOON)
    code = told_code(PHONE)

    assert member_of_code(code, till=till, at=after(299)) == anna.pk
    with pytest.raises(PresenceCodeInvalid):
        member_of_code(code, till=till, at=after(300))
    spend_code(code, anna.pk, receipt="1", at=after(299))
    with pytest.raises(PresenceCodeInvalid):
        spend_code(code, anna.pk, receipt="2", at=after(299))


def test_sent_code_comes_again_unless_it_was_spent(till, told_code):
    anna = MemberFactory(phone=PHONE)
    send_code(anna, till=till, at=NOON)
    first = told_code(PHONE)
    send_code(anna, till=till, at=after(240))
    assert told_code(PHONE) == first

    spend_code(first, anna.pk, receipt="1", at=after(240))
    send_code(anna, till=till, at=after(240))
    assert told_code(PHONE) != first


def test_sent_code_leaves_the_shown_one(till, told_code):
    anna = MemberFactory(phone=PHONE)
    shown = issue_code(anna.pk, at=NOON)
    send_code(anna, till=till, at=NOON)
    spend_code(told_code(PHONE), anna.pk, receipt="1", at=NOON)

    assert issue_code(anna.pk, at=NOON) == shown
    check_code(shown.code, anna.pk, till=till, at=NOON)


def test_presence_code_does_not_sign_in(till, told_code):
    anna = MemberFactory(phone=PHONE)
    send_code(anna, till=till, at=NOON)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, told_code(PHONE), ip="192.0.2.1", at=NOON)


def test_sign_in_code_is_no_presence_code(till, sent_code):
    anna = MemberFactory(phone=PHONE)
    request_code(PHONE, ip="192.0.2.1", at=NOON)

    with pytest.raises(PresenceCodeInvalid):
        check_code(sent_code(PHONE), anna.pk, till=till, at=NOON)


def test_phone_is_sent_five_codes_in_its_quarter_of_an_hour(till):
    anna = MemberFactory(phone=PHONE)
    for _try in range(5):
        send_code(anna, till=uuid4(), at=NOON)

    with pytest.raises(TooManyRequests) as refused:
        send_code(anna, till=till, at=after(600))
    assert refused.value.retry_after == 300
    request_code(PHONE, ip="192.0.2.1", at=NOON)


def test_phone_is_sent_so_many_codes_a_day(settings, till):
    settings.OTP_REQUESTS_PER_PHONE_AND_DAY = 1
    anna = MemberFactory(phone=PHONE)
    send_code(anna, till=till, at=NOON)

    with pytest.raises(TooManyRequests):
        send_code(anna, till=till, at=after(7200))


def test_till_sends_so_many_codes_an_hour(settings, till):
    settings.PRESENCE_SENT_PER_TILL = 1
    send_code(MemberFactory(), till=till, at=NOON)

    with pytest.raises(TooManyRequests):
        send_code(MemberFactory(), till=till, at=NOON)
    send_code(MemberFactory(), till=uuid4(), at=NOON)


def test_unknown_members_are_counted_alike_and_sent_nothing(till, caplog):
    card_only = MemberFactory(phone=None)
    for who in ({"phone": "+79169999999"}, {"card": "none"}, {"card": card_only.card_number}):
        for _try in range(5):
            send_code_if_known(**who, till=till, at=NOON)
        with pytest.raises(TooManyRequests):
            send_code_if_known(**who, till=till, at=NOON)
    assert not caplog.records


def test_known_member_is_sent_a_code_by_card(till, told_code):
    anna = MemberFactory(phone=PHONE)
    send_code_if_known(card=anna.card_number, till=till, at=NOON)

    assert member_of_code(told_code(PHONE), till=till, at=NOON) == anna.pk


# --- The store ---------------------------------------------------------------------------------------


def test_redis_holds_neither_code_nor_phone(till, told_code):
    before = set(redis_client().scan_iter("presence:*"))
    anna = MemberFactory(phone=PHONE)
    shown = issue_code(anna.pk, at=NOON)
    send_code(anna, till=till, at=NOON)
    check_code(shown.code, anna.pk, till=till, at=NOON)
    guess(till, other_than(shown.code))

    new = set(redis_client().scan_iter("presence:*")) - before
    hashes = [key for key in new if redis_client().type(key) == "hash"]
    stored = [*new, *(str(redis_client().hgetall(key)) for key in hashes)]
    assert (len(new), len(hashes)) == (8, 4)
    assert not [text for text in stored for secret in (shown.code, told_code(PHONE)) if f"'{secret}'" in text]
    assert not [text for text in stored if PHONE[1:] in text]
    assert all(0 < redis_client().ttl(key) <= 86_400 for key in new)


def test_redis_away_is_said_plainly(monkeypatch, till):
    monkeypatch.setattr(presence, "redis_client", no_redis)
    monkeypatch.setattr(limits, "redis_client", no_redis)

    for call in (
        lambda: issue_code(ANNA, at=NOON),
        lambda: member_of_code("123456", till=till, at=NOON),
        lambda: check_code("123456", ANNA, till=till, at=NOON),
        lambda: spend_code("123456", ANNA, receipt="1", at=NOON),
        lambda: send_code(MemberFactory(), till=till, at=NOON),
    ):
        with pytest.raises(PresenceUnavailable) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (503, "unavailable")
