"""Sign-in by a code sent to the phone; web pages and the API share it.

Codes and counters live in Redis, so a request that is rolled back still counts, and the database
never sees a code. A code is kept as a keyed hash under a keyed hash of the phone.
"""

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import cast

import redis
from django.conf import settings
from django.db.transaction import atomic
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from loyalty.errors import CodeRefused, CodesUnavailable, ConsentRequired
from loyalty.models import Member
from loyalty.phones import normalise_phone
from loyalty.services.code_delivery import deliver_code
from loyalty.services.consents import PROCESSING, Choice, decide
from loyalty.services.enrolment import join
from loyalty.services.limits import DAY, HOUR, MINUTE, Limit, count, keyed_hash
from svoykrug.redis_client import redis_client

CODE_DIGITS = 6

# Counts a try before its code is looked at, so parallel guesses cannot outrun the count.
TRY = """
local digest = redis.call('HGET', KEYS[1], 'digest')
if not digest then return false end
if tonumber(redis.call('HGET', KEYS[1], 'expires')) <= tonumber(ARGV[1])
    or redis.call('HINCRBY', KEYS[1], 'tries', 1) > tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
  return false
end
return digest
"""

# Who is new reads three texts before going on; the count of tries goes on too.
LIVE_LONGER = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

# Only one of several right answers deletes the code, and only that one is let in.
SPEND = """
if redis.call('HGET', KEYS[1], 'digest') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def request_code(phone: str, *, ip: str, at: datetime) -> None:
    """Send a new code to the phone; an earlier one stops working.

    The answer never depends on whether the phone is known: members are not looked at.
    Raises InvalidPhone, TooManyRequests, CodeNotDelivered or CodesUnavailable.
    """
    phone = normalise_phone(phone)
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    _count(
        [
            Limit("otp:request-phone", phone, settings.OTP_REQUESTS_PER_PHONE, 15 * MINUTE),
            Limit("otp:request-phone-day", phone, settings.OTP_REQUESTS_PER_PHONE_AND_DAY, DAY),
            Limit("otp:request-address", ip, settings.OTP_REQUESTS_PER_ADDRESS, HOUR),
            Limit("otp:request-all", "", settings.OTP_REQUESTS_IN_ALL, HOUR),
        ],
        at,
    )
    expires = at.timestamp() + settings.OTP_LIFETIME_SECONDS
    key = _code_key(phone)
    try:
        with redis_client().pipeline() as pipe:
            pipe.delete(key)
            pipe.hset(key, mapping={"digest": _digest(phone, code), "expires": expires, "tries": 0})
            pipe.expire(key, settings.OTP_LIFETIME_SECONDS)
            pipe.execute()
    except redis.RedisError as error:
        raise CodesUnavailable(_("Sign-in does not work for the moment.")) from error
    deliver_code(phone, code)


def verify_code(
    phone: str,
    code: str,
    *,
    ip: str,
    at: datetime,
    referral_code: str | None = None,
    consents: Choice | None = None,
) -> tuple[Member, bool]:
    """Return the member whose phone got this code, and whether they have just joined.

    A code works once; `settings.OTP_TRIES` wrong answers void it. An unknown phone joins the
    circle, invited by the owner of `referral_code`.

    consents  what the person decides, having read the texts of the language in use

    Raises InvalidPhone, CodeRefused, TooManyRequests or CodesUnavailable; ConsentRequired if an
    unknown phone did not agree to processing, and then the code goes on working for a while.
    """
    phone = normalise_phone(phone)
    _count([Limit("otp:verify-address", ip, settings.OTP_ATTEMPTS_PER_ADDRESS, HOUR)], at)
    refused = CodeRefused(_("The code is wrong or too old. Ask for a new one."), field="code")
    if not (digest := _try_code(phone, code, at)):
        raise refused
    agreed = consents is not None and PROCESSING in consents.granted
    if not agreed and not Member.objects.filter(phone=phone).exists():
        _let_live(phone, until=at.timestamp() + settings.OTP_READING_SECONDS)
        raise ConsentRequired(
            _("To join, agree to the processing of your data."), field="consents.processing"
        )
    if not _spend_code(phone, digest):
        raise refused

    language = (get_language() or "ru")[:2]
    with atomic():
        member, is_new = join(phone=phone, referral_code=referral_code, language=language)
        if consents and member.is_active:
            decide(consents, member_id=member.pk, language=language, ip=ip, at=at)
    if not member.is_active:
        raise refused
    return member, is_new


def _try_code(phone: str, code: str, at: datetime) -> str | None:
    """Use up one try; return the digest of the code if the answer is right."""
    with _store() as store:
        tried = store.eval(TRY, 1, _code_key(phone), at.timestamp(), settings.OTP_TRIES)
    digest, expected = _digest(phone, code), cast("str | None", tried)
    return digest if expected is not None and hmac.compare_digest(expected, digest) else None


def _spend_code(phone: str, digest: str) -> bool:
    with _store() as store:
        return cast("int", store.eval(SPEND, 1, _code_key(phone), digest)) == 1


def _let_live(phone: str, *, until: float) -> None:
    with _store() as store:
        store.eval(LIVE_LONGER, 1, _code_key(phone), until, settings.OTP_READING_SECONDS)


@contextmanager
def _store() -> Iterator["redis.Redis"]:
    try:
        yield redis_client()
    except redis.RedisError as error:
        raise CodesUnavailable(_("Sign-in does not work for the moment.")) from error


def _count(limits: list[Limit], at: datetime) -> None:
    try:
        count(limits, at)
    except redis.RedisError as error:
        raise CodesUnavailable(_("Sign-in does not work for the moment.")) from error


def _code_key(phone: str) -> str:
    return f"otp:code:{keyed_hash(phone)}"


def _digest(phone: str, code: str) -> str:
    """Tie the code to its phone, so the same digits for another phone look different."""
    return keyed_hash(f"{phone}:{code.strip()}")
