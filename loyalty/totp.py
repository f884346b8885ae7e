"""Time-based one-time passwords (RFC 6238): six digits that change every half minute."""

import base64
import hmac
from datetime import datetime
from hashlib import sha1
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
# Clocks of phones go wrong by half a minute; more would only help whoever guesses.
DRIFT_STEPS = 1


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, step: int, *, digits: int = DIGITS) -> str:
    """Return the code of that step: HOTP of RFC 4226 with the step as its counter."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), sha1)
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}}"


def matching_step(secret: bytes, code: str, *, at: datetime, after: int) -> int | None:
    """Return the step whose code this is, near `at` and later than `after`; else None.

    after  the step of the last code that was let in: none is good twice
    """
    now, found = step_of(at), None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > after:
            found = step
    return found


def in_base32(secret: bytes) -> str:
    """Return the secret as it is typed into an application."""
    return base64.b32encode(secret).decode().rstrip("=")


def enrolment_address(secret: bytes, *, account: str, issuer: str) -> str:
    """Return what the QR carries (Key URI format, which every authenticator reads)."""
    label = quote(f"{issuer}:{account}")
    values = urlencode({"secret": in_base32(secret), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{values}"
