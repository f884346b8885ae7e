"""Who calls the API: a business's machine by its key, or a member by an access token."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from loyalty.models import ApiKey, Member
from loyalty.services.api_keys import use_api_key
from loyalty.services.sessions import member_of_access_token
from svoykrug.db.actor import ActorKind, become


@dataclass(frozen=True)
class Integrator:
    """The caller behind an API key, in the place where DRF keeps a user."""

    key: ApiKey
    is_authenticated = True
    is_staff = False

    @property
    def pk(self) -> Any:
        return self.key.pk


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key sk_live_…`; `request.auth` is the ApiKey with its business."""

    scheme = "Api-Key"

    def authenticate(self, request: Request) -> tuple[Integrator, ApiKey] | None:
        secret = credential(request, self.scheme)
        if secret is None:
            return None
        key = use_api_key(secret, at=timezone.now())
        if key is None:
            raise AuthenticationFailed(_("The API key is unknown or revoked."))
        become(ActorKind.API_KEY, key.pk)
        return Integrator(key), key

    def authenticate_header(self, request: Request) -> str:
        return self.scheme


class MemberTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT>`; `request.user` is the member."""

    scheme = "Bearer"

    def authenticate(self, request: Request) -> tuple[Member, str] | None:
        access = credential(request, self.scheme)
        if access is None:
            return None
        member = member_of_access_token(access)
        if member is None:
            raise AuthenticationFailed(_("The access token is not valid or has run out. Refresh it."))
        become(ActorKind.MEMBER, member.pk)
        return member, access

    def authenticate_header(self, request: Request) -> str:
        return self.scheme


def credential(request: Request, scheme: str) -> str | None:
    """Return what follows the scheme in Authorization; None when another scheme is used."""
    words = get_authorization_header(request).decode("latin-1").split()
    if not words or words[0].lower() != scheme.lower():
        return None
    if len(words) != 2:
        raise AuthenticationFailed(_("The Authorization header is not complete."))
    return words[1]


class HasScope(BasePermission):
    """The caller is a business's key with the scope that the view asks of this method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, ApiKey):
            self.message = _("This call needs an API key of a business.")
            return False
        scope = view.scopes.get("GET" if request.method == "HEAD" else request.method)
        if scope is None:
            return True  # The view has no such method and says so.
        self.message = _("The API key lacks the scope %(scope)s.") % {"scope": scope}
        return scope in request.auth.scopes


class IsMember(BasePermission):
    """The caller is a member with an access token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        self.message = _("This call is a member's own: it needs an access token.")
        return isinstance(request.user, Member)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key sk_live_…`, made by `manage.py create_api_key --business CODE`",
        }


class MemberTokenScheme(OpenApiAuthenticationExtension):
    target_class = MemberTokenAuthentication
    name = "MemberToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
