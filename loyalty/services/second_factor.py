"""The second factor of staff: enrolling an authenticator, letting its codes in, undoing it.

Rule: specification api.md, "staff: the same with password + TOTP". Wrong codes are counted in
Redis, so a request that is rolled back still counts.
"""

import secrets
from datetime import datetime

import redis
from django.conf import settings
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.errors import CodeRefused, CodesUnavailable
from loyalty.models import Member, SecondFactor
from loyalty.services.limits import MINUTE, Limit, count, keyed_hash
from loyalty.totp import matching_step
from svoykrug.encryption import InvalidToken, decrypt, encrypt

SECRET_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"
RECOVERY_CHARACTERS = 10


def secret_to_enrol(member: Member) -> bytes:
    """Return the secret that the member is about to put into an authenticator; the same until it counts."""
    factor = SecondFactor.objects.filter(member=member).first()
    if factor and member.second_factor_at is None and (secret := _secret(factor)):
        return secret
    assert member.second_factor_at is None, "undo the old one first"
    secret = secrets.token_bytes(SECRET_BYTES)
    SecondFactor.objects.update_or_create(member=member, defaults={"secret": encrypt(secret.hex())})
    return secret


@atomic
def enrol(member: Member, code: str, *, at: datetime) -> list[str]:
    """Let the authenticator count from now on, as its code fits; return the recovery codes, shown once.

    Ends every other session of the member. Raises CodeRefused, TooManyRequests or CodesUnavailable.
    """
    _count_try(member, at)
    factor = SecondFactor.objects.select_for_update().filter(member=member).first()
    secret = _secret(factor) if factor else None
    step = matching_step(secret, _typed(code), at=at, after=0) if secret else None
    if factor is None or step is None or member.second_factor_at:
        raise _refused()
    codes = [_new_recovery_code() for _place in range(RECOVERY_CODES)]
    factor.last_step = step
    factor.recovery_codes = [_digest(member, shown) for shown in codes]
    factor.save(update_fields=["last_step", "recovery_codes", "updated_at"])
    member.second_factor_at = at
    member.save(update_fields=["second_factor_at", "updated_at"])
    return codes


@atomic
def let_in(member: Member, code: str, *, at: datetime) -> None:
    """Accept a code of the authenticator or a recovery code; either is good once.

    Raises CodeRefused, TooManyRequests or CodesUnavailable. Locks the second factor, so that of
    two sign-ins with one code the second is refused.
    """
    _count_try(member, at)
    factor = SecondFactor.objects.select_for_update().filter(member=member).first()
    if factor is None or (secret := _secret(factor)) is None:
        raise _refused()
    typed = _typed(code)
    if (step := matching_step(secret, typed, at=at, after=factor.last_step)) is not None:
        factor.last_step = step
        factor.save(update_fields=["last_step", "updated_at"])
    elif (digest := _digest(member, typed)) in factor.recovery_codes:
        factor.recovery_codes = [kept for kept in factor.recovery_codes if kept != digest]
        factor.save(update_fields=["recovery_codes", "updated_at"])
    else:
        raise _refused()


@atomic
def undo(member: Member) -> bool:
    """Forget the member's second factor and end their sessions; say whether there was one."""
    had = Member.objects.filter(pk=member.pk).exclude(second_factor_at=None).update(second_factor_at=None)
    SecondFactor.objects.filter(member=member).delete()
    member.second_factor_at = None
    return bool(had)


def _secret(factor: SecondFactor) -> bytes | None:
    try:
        return bytes.fromhex(decrypt(factor.secret))
    except InvalidToken:
        return None  # Its key is gone: the factor has to be undone and enrolled anew.


def _count_try(member: Member, at: datetime) -> None:
    tries = Limit("second-factor", str(member.pk), settings.SECOND_FACTOR_TRIES, 15 * MINUTE)
    try:
        count([tries], at)
    except redis.RedisError as error:
        raise CodesUnavailable(_("Sign-in does not work for the moment.")) from error


def _refused() -> CodeRefused:
    return CodeRefused(_("The code did not fit. Wait for the next one and try again."), field="code")


def _typed(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()


def _new_recovery_code() -> str:
    return "".join(secrets.choice(RECOVERY_ALPHABET) for _place in range(RECOVERY_CHARACTERS))


def _digest(member: Member, code: str) -> str:
    return keyed_hash(f"recovery:{member.pk}:{code}")
