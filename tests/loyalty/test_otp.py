"""A code of six digits lets its phone in once; counters stop guessing and flooding."""

from datetime import timedelta

import pytest

from loyalty.errors import CodeNotDelivered, CodeRefused, InvalidPhone, TooManyRequests
from loyalty.models import Member
from loyalty.services import otp
from loyalty.services.otp import request_code, verify_code
from svoykrug.redis_client import redis_client
from tests.factories import JOINING, NOON, MemberFactory
from tests.receivers import no_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE, IP = "+79161234217", "192.0.2.1"


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_new_phone_joins_with_the_code_sent_to_it(sent_code):
    request_code("8 916 123-42-17", ip=IP, at=NOON)

    member, is_new = verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)

    assert (member.phone, is_new) == (PHONE, True)
    assert Member.objects.get() == member
    assert not member.has_usable_password()


def test_known_phone_signs_in_as_its_member(sent_code):
    known = MemberFactory(phone=PHONE)
    request_code(PHONE, ip=IP, at=NOON)

    assert verify_code(
        PHONE,
        sent_code(PHONE),
        ip=IP,
        at=NOON,
    ) == (known, False)


def test_inviter_is_kept(sent_code):
    inviter = MemberFactory()
    request_code(PHONE, ip=IP, at=NOON)

    member, _ = verify_code(
        PHONE, sent_code(PHONE), ip=IP, at=NOON, referral_code=inviter.referral_code, consents=JOINING
    )

    assert member.referred_by == inviter


def test_code_works_once(sent_code):
    request_code(PHONE, ip=IP, at=NOON)
    verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)


@pytest.fixture
def different_codes(monkeypatch):
    """Two codes in a row that surely differ."""
    digits = iter([111_111, 222_222])
    monkeypatch.setattr(otp.secrets, "randbelow", lambda _most: next(digits))


def test_code_of_another_phone_is_refused(sent_code, different_codes):
    request_code(PHONE, ip=IP, at=NOON)
    request_code("+79161234218", ip=IP, at=NOON)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, sent_code("+79161234218"), ip=IP, at=NOON, consents=JOINING)
    assert not Member.objects.exists()


@pytest.mark.parametrize(("seconds", "works"), [(299, True), (300, False)])
def test_code_lives_five_minutes(sent_code, seconds, works):
    request_code(PHONE, ip=IP, at=NOON)
    later = NOON + timedelta(seconds=seconds)

    if works:
        assert verify_code(PHONE, sent_code(PHONE), ip=IP, at=later, consents=JOINING)[1]
    else:
        with pytest.raises(CodeRefused):
            verify_code(PHONE, sent_code(PHONE), ip=IP, at=later, consents=JOINING)


def test_fifth_answer_may_still_be_right(sent_code):
    request_code(PHONE, ip=IP, at=NOON)
    code = sent_code(PHONE)
    for _try in range(4):
        with pytest.raises(CodeRefused):
            verify_code(PHONE, other_than(code), ip=IP, at=NOON, consents=JOINING)

    assert verify_code(PHONE, code, ip=IP, at=NOON, consents=JOINING)[1]


def test_five_wrong_answers_void_the_code(sent_code):
    request_code(PHONE, ip=IP, at=NOON)
    code = sent_code(PHONE)
    for _try in range(5):
        with pytest.raises(CodeRefused):
            verify_code(PHONE, other_than(code), ip=IP, at=NOON, consents=JOINING)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, code, ip=IP, at=NOON, consents=JOINING)
    assert not Member.objects.exists()


def test_new_code_replaces_the_earlier_one(sent_code, different_codes):
    request_code(PHONE, ip=IP, at=NOON)
    first = sent_code(PHONE)
    request_code(PHONE, ip=IP, at=NOON)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, first, ip=IP, at=NOON, consents=JOINING)
    assert verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)[1]


def test_member_who_is_not_active_is_not_let_in(sent_code):
    MemberFactory(phone=PHONE, is_active=False)
    request_code(PHONE, ip=IP, at=NOON)

    with pytest.raises(CodeRefused):
        verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)


def test_phone_is_sent_five_codes_in_its_quarter_of_an_hour():
    for number in range(5):
        request_code(PHONE, ip=f"192.0.2.{number}", at=NOON)

    with pytest.raises(TooManyRequests) as refused:
        request_code(PHONE, ip=IP, at=NOON + timedelta(minutes=10))

    assert refused.value.retry_after == 300
    request_code(PHONE, ip=IP, at=NOON + timedelta(minutes=15))
    request_code("+79161234218", ip=IP, at=NOON)


def test_phone_is_sent_so_many_codes_a_day(settings):
    settings.OTP_REQUESTS_PER_PHONE_AND_DAY = 2
    for hour in range(2):
        request_code(PHONE, ip=IP, at=NOON + timedelta(hours=hour))

    with pytest.raises(TooManyRequests):
        request_code(PHONE, ip=IP, at=NOON + timedelta(hours=2))
    request_code(PHONE, ip=IP, at=NOON + timedelta(days=1))


def test_address_asks_for_so_many_codes_an_hour(settings):
    settings.OTP_REQUESTS_PER_ADDRESS = 2
    for number in range(2):
        request_code(f"+7916123421{number}", ip=IP, at=NOON)

    with pytest.raises(TooManyRequests):
        request_code(PHONE, ip=IP, at=NOON)
    request_code(PHONE, ip="192.0.2.2", at=NOON)


def test_programme_sends_so_many_codes_an_hour(settings):
    settings.OTP_REQUESTS_IN_ALL = 1
    request_code(PHONE, ip=IP, at=NOON)

    with pytest.raises(TooManyRequests):
        request_code("+79161234218", ip="192.0.2.2", at=NOON)


def test_refused_request_counts_against_no_other_limit(settings):
    settings.OTP_REQUESTS_PER_ADDRESS = 1
    request_code("+79161234218", ip=IP, at=NOON)
    for _try in range(9):
        with pytest.raises(TooManyRequests):
            request_code(PHONE, ip=IP, at=NOON)

    request_code(PHONE, ip="192.0.2.2", at=NOON)


def test_address_tries_so_many_answers_an_hour(settings, sent_code):
    settings.OTP_ATTEMPTS_PER_ADDRESS = 1
    request_code(PHONE, ip=IP, at=NOON)
    with pytest.raises(CodeRefused):
        verify_code("+79161234218", "000000", ip=IP, at=NOON, consents=JOINING)

    with pytest.raises(TooManyRequests):
        verify_code(PHONE, sent_code(PHONE), ip=IP, at=NOON, consents=JOINING)


def test_known_and_unknown_phones_ask_the_database_nothing(django_assert_num_queries):
    known = MemberFactory()

    with django_assert_num_queries(0):
        request_code(known.phone, ip=IP, at=NOON)
        request_code(PHONE, ip=IP, at=NOON)


def test_redis_holds_neither_code_nor_phone(sent_code):
    before = set(redis_client().scan_iter("otp:*"))
    request_code(PHONE, ip=IP, at=NOON)

    new = set(redis_client().scan_iter("otp:*")) - before
    stored = [*new, *(str(redis_client().hgetall(key)) for key in new if key.startswith("otp:code"))]
    assert len(new) == 5
    assert not [text for text in stored if sent_code(PHONE) in text or PHONE[1:] in text]
    assert all(0 < redis_client().ttl(key) <= 86_400 for key in new)


def test_production_without_a_gateway_sends_nothing_to_its_log(settings, caplog):
    settings.PRODUCTION = True

    with pytest.raises(CodeNotDelivered):
        request_code(PHONE, ip=IP, at=NOON)
    assert not caplog.records


def test_what_is_no_phone_is_refused():
    with pytest.raises(InvalidPhone):
        request_code("12", ip=IP, at=NOON)


def test_redis_away_is_said_plainly(settings, monkeypatch):
    monkeypatch.setattr(otp, "redis_client", no_redis)

    with pytest.raises(otp.CodesUnavailable):
        request_code(PHONE, ip=IP, at=NOON)
