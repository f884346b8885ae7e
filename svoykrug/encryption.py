"""Secrets at rest that must be read again, such as the keys that webhooks are signed with.

What need only be recognised (API keys, codes, refresh tokens) is hashed instead.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypt", "encrypt", "encrypt_anew", "is_of_first_key"]


def encrypt(secret: str) -> bytes:
    """Return the secret encrypted by the first of `ENCRYPTION_KEYS`; twice the same never looks alike."""
    return _keys().encrypt(secret.encode())


def decrypt(stored: bytes | memoryview) -> str:
    """Return the secret. Raises InvalidToken where none of the keys fits, or somebody changed it."""
    return _keys().decrypt(bytes(stored)).decode()


def encrypt_anew(stored: bytes | memoryview) -> bytes:
    """Return what an older key encrypted, encrypted by the first one (`manage.py rotate_secrets`)."""
    return _keys().rotate(bytes(stored))


def is_of_first_key(stored: bytes | memoryview) -> bool:
    """Return whether the first of `ENCRYPTION_KEYS` alone reads it."""
    try:
        _fernet(settings.ENCRYPTION_KEYS[0]).decrypt(bytes(stored))
    except InvalidToken:
        return False
    return True


def _keys() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in settings.ENCRYPTION_KEYS])


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
