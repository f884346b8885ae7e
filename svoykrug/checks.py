"""System checks that refuse unsafe or incomplete settings with a sentence that says what to do."""

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

MINIMUM_KEY_LENGTH = 50


@register()
def servers_are_known(**kwargs: Any) -> list[CheckMessage]:
    """Name each server whose address is neither set nor written by the embedded set."""
    hint = "Run `make services` for the embedded servers, or set the variable (see .env.example)."
    return [
        Error(f"{name} is not set.", hint=hint, id=f"svoykrug.E00{number}")
        for number, name in enumerate(("DATABASE_URL", "CLICKHOUSE_URL", "REDIS_URL"), start=1)
        if not getattr(settings, name)
    ]


@register()
def production_is_safe(**kwargs: Any) -> list[CheckMessage]:
    """Refuse to run production with a debug flag, a default or short secret, no hosts, or failpoints."""
    if not settings.PRODUCTION:
        return []
    errors = []
    if settings.DEBUG:
        errors.append(Error("DEBUG is on in production.", hint="Remove DEBUG.", id="svoykrug.E010"))
    for number, name in enumerate(("SECRET_KEY", "JWT_SIGNING_KEY"), start=11):
        if _is_weak(getattr(settings, name)):
            hint = f"Set {name} to {MINIMUM_KEY_LENGTH} or more random characters."
            errors.append(Error(f"{name} is missing or weak.", hint=hint, id=f"svoykrug.E0{number}"))
    if settings.SECRET_KEY == settings.JWT_SIGNING_KEY:
        errors.append(Error("JWT_SIGNING_KEY equals SECRET_KEY.", hint="Use two keys.", id="svoykrug.E013"))
    if any(_is_weak(key) for key in settings.ENCRYPTION_KEYS) or not settings.ENCRYPTION_KEYS:
        hint = f"Set ENCRYPTION_KEYS to one of {MINIMUM_KEY_LENGTH} or more random characters."
        errors.append(Error("ENCRYPTION_KEYS is missing or weak.", hint=hint, id="svoykrug.E016"))
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        hint = "List the host names, separated by commas."
        errors.append(Error("ALLOWED_HOSTS is empty or '*'.", hint=hint, id="svoykrug.E014"))
    if settings.FAILPOINTS:
        errors.append(Error("FAILPOINTS kills the process.", hint="Remove FAILPOINTS.", id="svoykrug.E015"))
    return errors


@register()
def metrics_go_to_networks(**kwargs: Any) -> list[CheckMessage]:
    """Name what in METRICS_ALLOWED is no network."""
    hint = "List addresses or networks such as 10.0.0.0/8, separated by commas."
    errors: list[CheckMessage] = []
    for each in settings.METRICS_ALLOWED:
        try:
            ip_network(each)
        except ValueError as error:
            errors.append(Error(f"METRICS_ALLOWED: {error}.", hint=hint, id="svoykrug.E017"))
    return errors


def _is_weak(key: str) -> bool:
    return key.startswith(settings.DEVELOPMENT_SECRET_KEY) or len(key) < MINIMUM_KEY_LENGTH
