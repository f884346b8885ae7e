"""Keys that a business's till or CRM calls the API with."""

import hashlib
import secrets
import string
from collections.abc import Collection
from datetime import datetime, timedelta

from loyalty.models import ApiKey, Business
from svoykrug.db.rows import columns, instances
from svoykrug.db.sql import read

KEY_START, TEST_KEY_START = "sk_live_", "sk_test_"
RANDOM_CHARACTERS = 40
# Enough to recognise a key by, far from enough to guess it.
SHOWN_CHARACTERS = len(KEY_START) + 6
LAST_USE_KEPT_EVERY = timedelta(minutes=1)
DEFAULT_SCOPES = (
    ApiKey.Scope.PURCHASES_WRITE,
    ApiKey.Scope.PURCHASES_READ,
    ApiKey.Scope.MEMBERS_READ,
    ApiKey.Scope.COUPONS_READ,
)


def create_api_key(
    *,
    business: Business,
    scopes: Collection[str] = DEFAULT_SCOPES,
    label: str = "",
    sandbox: Business | None = None,
) -> tuple[ApiKey, str]:
    """Return the stored key and the secret itself, which is never shown again.

    sandbox  of the business: then it is a test key, which acts on that and nothing else
    """
    alphabet = string.ascii_letters + string.digits
    start = TEST_KEY_START if sandbox else KEY_START
    secret = start + "".join(secrets.choice(alphabet) for _place in range(RANDOM_CHARACTERS))
    key = ApiKey.objects.create(
        business=business,
        sandbox=sandbox,
        label=label,
        prefix=secret[:SHOWN_CHARACTERS],
        key_hash=_hash(secret),
        scopes=[str(scope) for scope in dict.fromkeys(scopes)],
    )
    return key, secret


def use_api_key(secret: str, *, at: datetime) -> ApiKey | None:
    """Return the key of that secret, not revoked, noting the use at most once a minute.

    Its `business` is what it acts on: of a test key, the sandbox.
    """
    key = _live_key(_hash(secret))
    if key and (key.last_used_at is None or at - key.last_used_at >= LAST_USE_KEPT_EVERY):
        # By query and not save(): a parallel revocation must not be undone.
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
        key.last_used_at = at
    return key


def revoke_api_key(key: ApiKey, *, at: datetime) -> None:
    """Stop the key at once; may be repeated."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at, updated_at=at)


# Every call of a till reads it: the ORM needs 0.9 ms to build this query, which answers in 0.2.
_LIVE_KEY = f"""
    SELECT {columns(ApiKey, "key")}, {columns(Business, "business")}
    FROM api_keys key JOIN businesses business ON business.id = coalesce(key.sandbox_id, key.business_id)
    WHERE key.key_hash = %s AND key.revoked_at IS NULL AND business.is_active
"""  # noqa: S608  columns of our own models


def _live_key(key_hash: str) -> ApiKey | None:
    rows = read((_LIVE_KEY, [key_hash]))[0]
    if not rows:
        return None
    key, business = instances(rows[0], ApiKey, Business)
    key.business = business
    return key  # type: ignore[no-any-return]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
