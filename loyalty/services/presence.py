"""Presence: a member's code proves that the member stands at the till and agrees to spend.

Rule: specification, "Spending needs presence". Codes, wrong tries and locks live in Redis, so a
purchase that is rolled back still counts its wrong code. Redis holds a code only as a keyed hash;
the digits shown to a member are worked out anew from a random nonce and SECRET_KEY.
"""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import redis
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from loyalty.errors import MemberNotFound, PresenceCodeInvalid, PresenceUnavailable
from loyalty.models import Business, Member
from loyalty.selectors import find_member
from loyalty.services.code_delivery import Purpose, deliver_code
from loyalty.services.limits import DAY, HOUR, MINUTE, Limit, count, keyed_hash
from svoykrug.redis_client import redis_client

CODE_DIGITS = 6
QR_PREFIX = "SVOYKRUG:"
# New digits are drawn this often when others' live codes are hit: with half of all taken, 1 in 10^9 fails.
DRAWS = 30
SHOWN, SENT = "shown", "sent"


@dataclass(frozen=True, slots=True)
class PresenceCode:
    code: str
    expires_at: datetime

    @property
    def qr(self) -> str:
        """What the QR carries; a scanner types it into the till."""
        return f"{QR_PREFIX}{self.code}"

    def seconds_left(self, at: datetime) -> int:
        return max(math.ceil((self.expires_at - at).total_seconds()), 0)


# Returns the nonce and expiry of the member's last code or, when too little of it is left, of the
# new one; false when someone else's live code has the same digits.
ISSUE = """
local nonce, expires = unpack(redis.call('HMGET', KEYS[1], 'nonce', 'expires'))
if nonce and tonumber(expires) - tonumber(ARGV[1]) >= tonumber(ARGV[6]) then return {nonce, expires} end
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
redis.call('HSET', KEYS[2], 'member', ARGV[2], 'expires', ARGV[4], 'sandbox', ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'nonce', ARGV[3], 'expires', ARGV[4], 'code', KEYS[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {ARGV[3], ARGV[4]}
"""

# Looks at the code and counts a wrong one in one step, so parallel guesses cannot outrun the count.
# Only the first showing of a right code forgives wrong ones: else one own code would buy endless guesses.
LOOK = """
local at, tries, window = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5])
local locked = tonumber(redis.call('GET', KEYS[3]) or '0') - at
if locked > 0 then return {'', math.ceil(locked)} end
local known = redis.call('HMGET', KEYS[1], 'member', 'expires', 'receipt', 'sandbox')
local member, expires, receipt = known[1], known[2], known[3]
local live = member and (receipt and receipt == ARGV[3] or not receipt and tonumber(expires) > at)
live = live and (ARGV[2] ~= '' or ARGV[7] == (known[4] or ''))
if live and (ARGV[2] == '' or ARGV[2] == member) then
  if redis.call('HSETNX', KEYS[1], 'seen', 1) == 1 then redis.call('DEL', KEYS[2]) end
  return {member, 0}
end
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], 0, tries - 1)
redis.call('EXPIRE', KEYS[2], window)
local oldest = redis.call('LINDEX', KEYS[2], tries - 1)
if not oldest or at - tonumber(oldest) >= window then return {'', 0} end
redis.call('SET', KEYS[3], string.format('%.6f', at + tonumber(ARGV[6])), 'EX', ARGV[6])
redis.call('DEL', KEYS[2])
return {'', tonumber(ARGV[6])}
"""

# Gives the code to the first receipt that asks, and forgets it as the member's last one.
SPEND = """
local member, expires, receipt = unpack(redis.call('HMGET', KEYS[1], 'member', 'expires', 'receipt'))
if member ~= ARGV[2] then return 0 end
if receipt then return receipt == ARGV[3] and 1 or 0 end
if tonumber(expires) <= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'receipt', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
for i = 2, 3 do
  if redis.call('HGET', KEYS[i], 'code') == KEYS[1] then redis.call('DEL', KEYS[i]) end
end
return 1
"""


def issue_code(member_id: UUID, *, at: datetime) -> PresenceCode:
    """Return the code the member shows now: the last one while enough of it is left, else a new one.

    An earlier code stays good until it runs out or is spent. Raises PresenceUnavailable.
    """
    return _issue(
        SHOWN,
        member_id,
        seconds=settings.PRESENCE_CODE_SECONDS,
        least=settings.PRESENCE_LEAST_SECONDS,
        at=at,
    )


def send_code(member: Member, *, till: UUID, at: datetime) -> None:
    """Send the member a code to tell the cashier, for those who cannot show one.

    It lives OTP_LIFETIME_SECONDS and is otherwise like a shown one; asked for again, it is the same
    while a minute of it is left. A member without a phone gets nothing.
    Raises TooManyRequests, CodeNotDelivered or PresenceUnavailable.
    """
    _count_sending(member.phone or str(member.pk), till, at)
    if member.phone:
        sent = _issue(SENT, member.pk, seconds=settings.OTP_LIFETIME_SECONDS, least=MINUTE, at=at)
        deliver_code(member.phone, sent.code, Purpose.PRESENCE)


def send_code_if_known(
    *, phone: str | None = None, card: str | None = None, till: UUID, at: datetime
) -> None:
    """Send a code to the member of that phone (E.164) or card; nobody's is counted alike and told nothing."""
    try:
        member = find_member(phone=phone, card=card)
    except MemberNotFound:
        _count_sending(phone or card or "", till, at)
    else:
        send_code(member, till=till, at=at)


def sandbox_code(
    *, phone: str | None = None, card: str | None = None, business: Business, at: datetime
) -> PresenceCode | None:
    """Return the code of a sandbox's member, whom nothing is sent to; None for anybody else.

    It works as a sent one, at test keys of this sandbox. Raises PresenceUnavailable.
    """
    try:
        member = find_member(phone=phone, card=card, business=business)
    except MemberNotFound:
        return None
    seconds = settings.OTP_LIFETIME_SECONDS
    return _issue(SENT, member.pk, seconds=seconds, least=MINUTE, at=at, sandbox=str(business.pk))


def member_of_code(
    code: str, *, till: UUID, at: datetime, receipt: str | None = None, business: Business | None = None
) -> UUID:
    """Return whose live code this is; it stays unspent.

    code     as shown, scanned or typed: with QR_PREFIX, with spaces
    till     id of the API key, or of the cashier's member
    receipt  `receipt_name` of the purchase, if it is one: a spent code still names its member to
             the receipt that spent it
    business  whose till asks: codes of a sandbox's members are known there and nowhere else

    Raises PresenceCodeInvalid, having counted a wrong try of the till, or PresenceUnavailable.
    """
    sandbox = str(business.pk) if business and business.is_sandbox else ""
    return UUID(_look(code, "", till=till, at=at, receipt=receipt, field="member", sandbox=sandbox))


def check_code(code: str, member_id: UUID, *, till: UUID, at: datetime, receipt: str | None = None) -> None:
    """Refuse a code that is not this member's live one. Arguments and refusals as of `member_of_code`."""
    _look(code, str(member_id), till=till, at=at, receipt=receipt, field="presence_code")


def spend_code(code: str, member_id: UUID, *, receipt: str, at: datetime) -> None:
    """Use the code up for this receipt; the last check of a purchase, under the member's lock.

    receipt  its `receipt_name`; the same one may spend the code again for PRESENCE_REPEAT_SECONDS:
             a till's repeat after a crash

    Raises PresenceCodeInvalid when the code is not the member's, ran out or belongs to another
    receipt, or PresenceUnavailable.
    """
    pointers = [_pointer(kind, member_id) for kind in (SHOWN, SENT)]
    arguments = [at.timestamp(), str(member_id), keyed_hash(receipt), settings.PRESENCE_REPEAT_SECONDS]
    with _redis_at_hand():
        spent = redis_client().eval(SPEND, 3, _code_key(_digits(code)), *pointers, *arguments)
    if not spent:
        raise _invalid("presence_code")


def receipt_name(business_id: UUID, external_id: str) -> str:
    """Return what tells a receipt from those of all businesses."""
    return f"{business_id}:{external_id}"


def _issue(
    kind: str, member_id: UUID, *, seconds: int, least: int, at: datetime, sandbox: str = ""
) -> PresenceCode:
    expires = at.timestamp() + seconds
    for _draw in range(DRAWS):
        nonce = secrets.token_hex(16)
        keys = [_pointer(kind, member_id), _code_key(_digits_of(nonce))]
        # `at` decides; Redis forgets a minute later, so that no code runs out in the middle of a purchase.
        arguments: list[str | float] = [
            at.timestamp(),
            str(member_id),
            nonce,
            expires,
            seconds + MINUTE,
            least,
            sandbox,
        ]
        with _redis_at_hand():
            issued = cast("list[str] | None", redis_client().eval(ISSUE, 2, *keys, *arguments))
        if issued:
            return PresenceCode(_digits_of(issued[0]), datetime.fromtimestamp(float(issued[1]), tz=UTC))
    raise PresenceUnavailable(_("Member codes do not work for the moment."))


def _look(
    code: str, member: str, *, till: UUID, at: datetime, receipt: str | None, field: str, sandbox: str = ""
) -> str:
    """Return the member of the code; `member`, when not empty, is who it must be, else one of the sandbox."""
    subject = keyed_hash(str(till))
    keys = [_code_key(_digits(code)), f"presence:wrong:{subject}", f"presence:locked:{subject}"]
    arguments = [
        at.timestamp(),
        member,
        keyed_hash(receipt) if receipt else "",
        settings.PRESENCE_TRIES,
        settings.PRESENCE_WINDOW_SECONDS,
        settings.PRESENCE_LOCK_SECONDS,
        sandbox,
    ]
    with _redis_at_hand():
        found, locked_seconds = cast("tuple[str, int]", redis_client().eval(LOOK, 3, *keys, *arguments))
    if locked_seconds:
        raise _locked(locked_seconds, field)
    if not found:
        raise _invalid(field)
    return found


def _invalid(field: str) -> PresenceCodeInvalid:
    detail = _("The code did not fit. Ask the member to refresh the page: the code changes every minute.")
    return PresenceCodeInvalid(detail, field=field)


def _locked(seconds: int, field: str) -> PresenceCodeInvalid:
    minutes = -(-seconds // MINUTE)
    detail = ngettext(
        "Too many codes did not fit at this till. It takes codes again in %(minutes)d minute.",
        "Too many codes did not fit at this till. It takes codes again in %(minutes)d minutes.",
        minutes,
    )
    return PresenceCodeInvalid(detail % {"minutes": minutes}, field=field, retry_after=seconds)


def _count_sending(phone: str, till: UUID, at: datetime) -> None:
    with _redis_at_hand():
        count(
            [
                Limit("presence:send-phone", phone, settings.OTP_REQUESTS_PER_PHONE, 15 * MINUTE),
                Limit("presence:send-phone-day", phone, settings.OTP_REQUESTS_PER_PHONE_AND_DAY, DAY),
                Limit("presence:send-till", str(till), settings.PRESENCE_SENT_PER_TILL, HOUR),
            ],
            at,
        )


@contextmanager
def _redis_at_hand() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise PresenceUnavailable(_("Member codes do not work for the moment.")) from error


def _digits(code: str) -> str:
    """Return what was typed or scanned as bare digits."""
    return "".join(code.split()).upper().removeprefix(QR_PREFIX)


def _digits_of(nonce: str) -> str:
    return f"{int(keyed_hash(f'presence:{nonce}'), 16) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _code_key(digits: str) -> str:
    return f"presence:code:{keyed_hash(digits)}"


def _pointer(kind: str, member_id: UUID) -> str:
    return f"presence:{kind}:{keyed_hash(str(member_id))}"
