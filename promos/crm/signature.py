"""Whether a message comes from whoever knows the integration's secret. Two ways to sign, both over raw bytes.

Standard Webhooks (standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>`
over `id.timestamp.body`, keyed with the bytes that the secret is the base64 of.
Simple: `X-Timestamp: <unix seconds>`, `X-Signature: sha256=<hex>` over `timestamp.body`, keyed with the
secret's characters as they stand.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from loyalty.services.webhooks.signing import SECRET_START

WINDOW_SECONDS = 300
MOST_SIGNATURES = 10
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
SIMPLE = ("x-timestamp", "x-signature")
TIMESTAMP = re.compile(r"[1-9][0-9]{8,10}")
MESSAGE_ID = re.compile(r"[!-~]{1,200}")
V1 = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
VERSIONED = re.compile(r"v[0-9]{1,2}[a-z]?,[!-~]{1,200}")
HEX = re.compile(r"sha256=[0-9a-f]{64}")


class Refusal(StrEnum):
    """Why a message is not let in."""

    MISSING = "missing"
    TWO_WAYS = "two_ways"
    MALFORMED = "malformed"
    TIME = "time"
    WRONG = "wrong"


class SignatureRefused(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why = why


def check_signature(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], at: datetime) -> str:
    """Return the digest that a repeat of this very message has again. Raises SignatureRefused.

    headers  by lower-case names
    secrets  whichever is accepted now: while one is being changed, two
    """
    standard = any(name in headers for name in STANDARD)
    simple = any(name in headers for name in SIMPLE)
    if standard and simple:
        raise SignatureRefused(Refusal.TWO_WAYS)
    if standard:
        return _standard(*_all(headers, STANDARD), body, secrets, at)
    if simple:
        return _simple(*_all(headers, SIMPLE), body, secrets, at)
    raise SignatureRefused(Refusal.MISSING)


def _all(headers: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    values = [headers.get(name, "") for name in names]
    if not all(values):
        raise SignatureRefused(Refusal.MISSING)
    return values


def _standard(
    message_id: str, timestamp: str, signatures: str, body: bytes, secrets: Sequence[str], at: datetime
) -> str:
    given = signatures.split(" ")
    if not MESSAGE_ID.fullmatch(message_id) or len(given) > MOST_SIGNATURES:
        raise SignatureRefused(Refusal.MALFORMED)
    if not all(VERSIONED.fullmatch(each) for each in given):
        raise SignatureRefused(Refusal.MALFORMED)
    # Others' versions may stand beside ours.
    ours = [each[3:] for each in given if V1.fullmatch(each)]
    if not ours:
        raise SignatureRefused(Refusal.MALFORMED)
    _check_time(timestamp, at)
    content = f"{message_id}.{timestamp}.".encode() + body
    expected = [base64.b64encode(_hmac(_raw(secret), content)).decode() for secret in secrets]
    _compare(ours, expected)
    # A retry has a new timestamp and the same id.
    return hashlib.sha256(f"id:{message_id}.".encode() + body).hexdigest()


def _simple(timestamp: str, signature: str, body: bytes, secrets: Sequence[str], at: datetime) -> str:
    if not HEX.fullmatch(signature):
        raise SignatureRefused(Refusal.MALFORMED)
    _check_time(timestamp, at)
    content = f"{timestamp}.".encode() + body
    expected = [_hmac(secret.encode(), content).hex() for secret in secrets]
    _compare([signature.removeprefix("sha256=")], expected)
    return hashlib.sha256(f"at:{timestamp}.".encode() + body).hexdigest()


def _check_time(timestamp: str, at: datetime) -> None:
    if not TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefused(Refusal.MALFORMED)
    if abs(at.timestamp() - int(timestamp)) > WINDOW_SECONDS:
        raise SignatureRefused(Refusal.TIME)


def _compare(given: list[str], expected: list[str]) -> None:
    """Compare each with each, always all of them: how long it takes tells nothing."""
    fits = False
    for one in given:
        for other in expected:
            fits |= hmac.compare_digest(one.encode(), other.encode())
    if not fits:
        raise SignatureRefused(Refusal.WRONG)


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def _raw(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_START))
