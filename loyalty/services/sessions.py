"""Members' devices: a short access token and a refresh token that changes at each use.

A refresh token is random and kept only as its hash. Tokens that grew out of one sign-in are a
family: whoever shows a spent token of it, thief or victim, ends the whole family.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.transaction import atomic
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from loyalty.errors import SessionRefused
from loyalty.models import Member, Session
from svoykrug.db.models import uuid7

FAMILY_CLAIM = "family"
LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a device is given; neither value can be had again."""

    access: str
    refresh: str


def open_session(member: Member, *, at: datetime, user_agent: str = "", ip: str | None = None) -> Tokens:
    """Begin a family of tokens for a device that has just signed in."""
    return _issue(member.pk, family=uuid7(), at=at, user_agent=user_agent, ip=ip)


def refresh_session(refresh: str, *, at: datetime, user_agent: str = "", ip: str | None = None) -> Tokens:
    """Exchange a refresh token for new tokens.

    Raises SessionRefused; if the token had been exchanged before, its family is revoked as well.
    Locks the token's row, so of two parallel exchanges the second counts as a reuse.
    """
    with atomic():
        session = _locked(refresh)
        if session and session.rotated_at and not session.revoked_at:
            _revoke_family(session, at=at, reason="refresh token reused")
        elif session and _usable(session, at):
            session.rotated_at = at
            session.save(update_fields=["rotated_at"])
            return _issue(session.member_id, family=session.family, at=at, user_agent=user_agent, ip=ip)
    # Outside the block: the revocation stays although the call is refused.
    raise SessionRefused(_("The session has ended. Sign in again."), field="refresh")


@atomic
def close_session(refresh: str, *, at: datetime) -> None:
    """Sign the device out. Does nothing for an unknown token, and may be repeated."""
    if session := _locked(refresh):
        _revoke_family(session, at=at, reason="signed out")


def member_of_access_token(access: str) -> Member | None:
    """Return the member of a valid access token whose family has not been revoked."""
    try:
        claims = AccessToken(access)  # type: ignore[arg-type]
    except TokenError:
        return None
    live = Session.objects.filter(
        member=OuterRef("pk"), family=claims[FAMILY_CLAIM], revoked_at=None, rotated_at=None
    )
    return (
        Member.objects.select_related("status_tier")
        .filter(Exists(live), pk=claims["sub"], is_active=True, anonymised_at=None)
        .first()
    )


def _issue(member_id: UUID, *, family: UUID, at: datetime, user_agent: str, ip: str | None) -> Tokens:
    refresh = secrets.token_urlsafe(32)
    Session.objects.create(
        member_id=member_id,
        family=family,
        token_hash=_hash(refresh),
        user_agent=user_agent[:LONGEST_USER_AGENT],
        ip=ip,
        expires_at=at + timedelta(days=settings.REFRESH_TOKEN_DAYS),
        created_at=at,
    )
    access = AccessToken()
    access["sub"], access[FAMILY_CLAIM] = str(member_id), str(family)
    access.set_iat(at_time=at)
    access.set_exp(from_time=at, lifetime=timedelta(minutes=settings.ACCESS_TOKEN_MINUTES))
    return Tokens(access=str(access), refresh=refresh)


def _locked(refresh: str) -> Session | None:
    return Session.objects.select_for_update(no_key=True).filter(token_hash=_hash(refresh)).first()


def _usable(session: Session, at: datetime) -> bool:
    if session.revoked_at or session.expires_at <= at:
        return False
    return Member.objects.filter(pk=session.member_id, is_active=True, anonymised_at=None).exists()


def _revoke_family(session: Session, *, at: datetime, reason: str) -> None:
    Session.objects.filter(member_id=session.member_id, family=session.family, revoked_at=None).update(
        revoked_at=at, reason=reason
    )


def _hash(refresh: str) -> str:
    """A plain hash is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(refresh.encode()).hexdigest()
