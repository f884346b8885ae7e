"""Sign-in by a code sent to the phone; web pages and the API share it.

Codes and counters live in Redis, so a request that is rolled back still counts, and the database
never sees a code. A code is kept as a keyed hash under a keyed hash of the phone.
"""

import hmac
import secrets
from datetime import datetime
from typing import cast

import redis
from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from loyalty.errors import CodeRefused, CodesUnavailable
from loyalty.models import Member
from loyalty.phones import normalise_phone
from loyalty.services.code_delivery import deliver_code
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
    phone: str, code: str, *, ip: str, at: datetime, referral_code: str | None = None
) -> tuple[Member, bool]:
    """Return the member whose phone got this code, and whether they have just joined.

    A code works once; `settings.OTP_TRIES` wrong answers void it. An unknown phone joins the
    circle, invited by the owner of `referral_code`.
    Raises InvalidPhone, CodeRefused, TooManyRequests or CodesUnavailable.
    """
    phone = normalise_phone(phone)
    _count([Limit("otp:verify-address", ip, settings.OTP_ATTEMPTS_PER_ADDRESS, HOUR)], at)
    if not _spend_code(phone, code, at):
        raise CodeRefused(_("The code is wrong or too old. Ask for a new one."), field="code")

    member, is_new = join(phone=phone, referral_code=referral_code, language=(get_language() or "ru")[:2])
    if not member.is_active:
        raise CodeRefused(_("The code is wrong or too old. Ask for a new one."), field="code")
    return member, is_new


def _spend_code(phone: str, code: str, at: datetime) -> bool:
    """Use up one try, and the code itself if the answer is right."""
    key = _code_key(phone)
    try:
        expected = cast("str | None", redis_client().eval(TRY, 1, key, at.timestamp(), settings.OTP_TRIES))
        digest = _digest(phone, code)
        if expected is None or not hmac.compare_digest(expected, digest):
            return False
        return cast("int", redis_client().eval(SPEND, 1, key, digest)) == 1
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
