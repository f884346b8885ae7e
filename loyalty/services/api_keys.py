"""Keys that a business's till or CRM calls the API with."""

import hashlib
import secrets
import string
from collections.abc import Collection
from datetime import datetime, timedelta

from loyalty.models import ApiKey, Business

KEY_START = "sk_live_"
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
    *, business: Business, scopes: Collection[str] = DEFAULT_SCOPES, label: str = ""
) -> tuple[ApiKey, str]:
    """Return the stored key and the secret itself, which is never shown again."""
    alphabet = string.ascii_letters + string.digits
    secret = KEY_START + "".join(secrets.choice(alphabet) for _place in range(RANDOM_CHARACTERS))
    key = ApiKey.objects.create(
        business=business,
        label=label,
        prefix=secret[:SHOWN_CHARACTERS],
        key_hash=_hash(secret),
        scopes=[str(scope) for scope in dict.fromkeys(scopes)],
    )
    return key, secret


def use_api_key(secret: str, *, at: datetime) -> ApiKey | None:
    """Return the live key of that secret with its business, noting the use at most once a minute."""
    key = (
        ApiKey.objects.select_related("business")
        .filter(key_hash=_hash(secret), revoked_at=None, business__is_active=True)
        .first()
    )
    if key and (key.last_used_at is None or at - key.last_used_at >= LAST_USE_KEPT_EVERY):
        # By query and not save(): a parallel revocation must not be undone.
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
        key.last_used_at = at
    return key


def revoke_api_key(key: ApiKey, *, at: datetime) -> None:
    """Stop the key at once; may be repeated."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at, updated_at=at)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
