"""Signatures of webhooks, by the Standard Webhooks specification (standardwebhooks.com), version 1."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

SECRET_START = "whsec_"  # noqa: S105  how every secret begins
SECRET_BYTES = 32


def new_secret() -> str:
    return SECRET_START + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(keys: Sequence[str], *, message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the three headers. With several keys, while one is being changed, each signs."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(key: str, content: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(SECRET_START))
    return base64.b64encode(hmac.new(raw, content, hashlib.sha256).digest()).decode()
