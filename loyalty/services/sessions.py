"""Members' devices: a short access token and a refresh token that changes at each use.

A refresh token is random and kept only as its hash. Tokens that grew out of one sign-in are a
family: whoever shows a spent token of it, thief or victim, ends the whole family.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.transaction import atomic
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from loyalty.errors import SessionRefused
from loyalty.models import Member, Session, StatusTier
from svoykrug.db.models import uuid7
from svoykrug.db.rows import columns, instances
from svoykrug.db.sql import read

FAMILY_CLAIM = "family"
STAFF_CLAIM = "staff"
LONGEST_USER_AGENT = 300


# Every call of a member's application asks it.
_SIGNED_IN = f"""
    SELECT {columns(Member, "m")}, {columns(StatusTier, "tier")}
    FROM users m JOIN status_tiers tier ON tier.id = m.status_tier
    WHERE m.id = %s AND m.is_active AND m.anonymised_at IS NULL AND NOT m.is_sandbox AND EXISTS (
        SELECT FROM sessions s
        WHERE s.user_id = m.id AND s.family = %s AND s.revoked_at IS NULL AND s.rotated_at IS NULL
    )
"""  # noqa: S608  columns of our own models


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a device is given; neither value can be had again."""

    access: str
    refresh: str


def open_session(
    member: Member, *, at: datetime, as_staff: bool = False, user_agent: str = "", ip: str | None = None
) -> Tokens:
    """Begin a family of tokens for a device that has just signed in.

    as_staff  by password and second factor: the tokens open what staff may see, until either changes
    """
    session = Session(
        member=member, family=uuid7(), auth_hash=member.get_session_auth_hash() if as_staff else ""
    )
    return _issue(session, refresh=secrets.token_urlsafe(32), at=at, user_agent=user_agent, ip=ip)


def refresh_session(refresh: str, *, at: datetime, user_agent: str = "", ip: str | None = None) -> Tokens:
    """Exchange a refresh token for new tokens.

    A repeat within `settings.REFRESH_GRACE_SECONDS`, its answer lost on the way, gets the same
    refresh token again, as long as nobody has used that one. Any other second use revokes the family.
    Raises SessionRefused. Locks the token's row, so many parallel exchanges make one successor.
    """
    with atomic():
        session = _locked(refresh)
        if session and session.rotated_at and not session.revoked_at:
            if _answer_was_lost(session, refresh, at) and _usable(session, at):
                return Tokens(_access(session, at), _successor(refresh))
            _revoke_family(session, at=at, reason="refresh token reused")
        elif session and _usable(session, at):
            session.rotated_at = at
            session.save(update_fields=["rotated_at"])
            return _issue(session, refresh=_successor(refresh), at=at, user_agent=user_agent, ip=ip)
    # Outside the block: the revocation stays although the call is refused.
    raise SessionRefused(_("The session has ended. Sign in again."), field="refresh")


@atomic
def close_session(refresh: str, *, at: datetime) -> None:
    """Sign the device out. Does nothing for an unknown token, and may be repeated."""
    if session := _locked(refresh):
        _revoke_family(session, at=at, reason="signed out")


def devices(member_id: UUID, *, at: datetime) -> QuerySet[Session]:
    """Return the live session of each device: `created_at` is its last refresh, `signed_in_at` its first."""
    family = Session.objects.filter(member=OuterRef("member"), family=OuterRef("family"))
    first = family.order_by("created_at").values("created_at")[:1]
    live = Session.objects.filter(member_id=member_id, rotated_at=None, revoked_at=None, expires_at__gt=at)
    return live.annotate(signed_in_at=Subquery(first))


def end_session(member_id: UUID, family: UUID, *, at: datetime) -> bool:
    """Sign a device of the member out, at once; say whether there was one."""
    session = devices(member_id, at=at).filter(family=family).first()
    if session:
        _revoke_family(session, at=at, reason="signed out elsewhere")
    return session is not None


def family_of(access: str) -> UUID:
    """Return the device that a valid access token was given to."""
    return UUID(AccessToken(access)[FAMILY_CLAIM])  # type: ignore[arg-type]


def is_staff_token(access: str, member: Member) -> bool:
    """Whether a valid token of the member was given for password and second factor that still hold."""
    auth_hash = AccessToken(access).get(STAFF_CLAIM)  # type: ignore[arg-type]
    return isinstance(auth_hash, str) and _as_signed_in(member, auth_hash)


def member_of_access_token(access: str) -> Member | None:
    """Return the member of a valid access token whose family has not been revoked."""
    try:
        claims = AccessToken(access)  # type: ignore[arg-type]
    except TokenError:
        return None
    rows = read((_SIGNED_IN, [claims["sub"], claims[FAMILY_CLAIM]]))[0]
    if not rows:
        return None
    member, member.status_tier = instances(rows[0], Member, StatusTier)
    return member  # type: ignore[no-any-return]


def _issue(session: Session, *, refresh: str, at: datetime, user_agent: str, ip: str | None) -> Tokens:
    """Store the next session of the same device and family."""
    following = Session.objects.create(
        member_id=session.member_id,
        family=session.family,
        auth_hash=session.auth_hash,
        token_hash=_hash(refresh),
        user_agent=user_agent[:LONGEST_USER_AGENT],
        ip=ip,
        expires_at=at + timedelta(days=settings.REFRESH_TOKEN_DAYS),
        created_at=at,
    )
    return Tokens(access=_access(following, at), refresh=refresh)


def _access(session: Session, at: datetime) -> str:
    access = AccessToken()
    access["sub"], access[FAMILY_CLAIM] = str(session.member_id), str(session.family)
    if session.auth_hash:
        access[STAFF_CLAIM] = session.auth_hash
    access.set_iat(at_time=at)
    access.set_exp(from_time=at, lifetime=timedelta(minutes=settings.ACCESS_TOKEN_MINUTES))
    return str(access)


def _successor(refresh: str) -> str:
    """Return the token that follows this one: worked out, so that it can be given twice and is not kept."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), f"refresh successor:{refresh}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _answer_was_lost(session: Session, refresh: str, at: datetime) -> bool:
    """Whether the token was spent a moment ago, and what it was exchanged for by nobody yet."""
    grace = timedelta(seconds=settings.REFRESH_GRACE_SECONDS)
    if session.rotated_at is None or at - session.rotated_at > grace:
        return False
    unused = Session.objects.filter(token_hash=_hash(_successor(refresh)), rotated_at=None, revoked_at=None)
    return unused.exists()


def _locked(refresh: str) -> Session | None:
    return Session.objects.select_for_update(no_key=True).filter(token_hash=_hash(refresh)).first()


def _usable(session: Session, at: datetime) -> bool:
    if session.revoked_at or session.expires_at <= at:
        return False
    member = Member.objects.filter(pk=session.member_id, is_active=True, anonymised_at=None).first()
    return member is not None and (not session.auth_hash or _as_signed_in(member, session.auth_hash))


def _as_signed_in(staff: Member, auth_hash: str) -> bool:
    """Whether password and second factor are still those of the sign-in."""
    return staff.is_staff and hmac.compare_digest(staff.get_session_auth_hash(), auth_hash)


def _revoke_family(session: Session, *, at: datetime, reason: str) -> None:
    Session.objects.filter(member_id=session.member_id, family=session.family, revoked_at=None).update(
        revoked_at=at, reason=reason
    )


def _hash(refresh: str) -> str:
    """A plain hash is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(refresh.encode()).hexdigest()
