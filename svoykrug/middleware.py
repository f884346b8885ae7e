"""What every request passes through."""

import re
import uuid
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from loyalty.backends import signed_in_by_code
from svoykrug.db.actor import Actor, ActorKind, acting_as, become

# A server behind a Unix socket has no address to name.
UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104  a label, nothing is bound
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Give each request an id, or keep a sane one of the caller, and return it as X-Request-Id."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request.id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        with acting_as(Actor(ActorKind.VISITOR, request_id=request.id)):
            response = get_response(request)
        response["X-Request-Id"] = request.id
        return response

    return middleware


def actor_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Let what a signed-in person does stand under their name; the API names its own callers.

    Who entered by a password is staff at work; who came by a phone code is a member, staff or not.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        # Without a session nobody is signed in, and nothing needs to be read; the API knows of none.
        user = getattr(request, "user", None)
        if user and settings.SESSION_COOKIE_NAME in request.COOKIES and user.is_authenticated:
            at_work = request.user.is_staff and not signed_in_by_code(request)
            become(ActorKind.STAFF if at_work else ActorKind.MEMBER, request.user.pk)
        return get_response(request)

    return middleware


def client_address(request: HttpRequest) -> str:
    """Return the caller's address as the outermost of our own proxies saw it.

    Anyone may write X-Forwarded-For, so only its last `TRUSTED_PROXIES` entries, which our proxies
    appended, are believed; with none the connection's own address counts.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    candidate = forwarded[-trusted].strip() if 0 < trusted <= len(forwarded) else ""
    for text in (candidate, request.META.get("REMOTE_ADDR", "")):
        try:
            return str(ip_address(text))
        except ValueError:
            continue
    return UNKNOWN_ADDRESS


def admin_password_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Know nobody under /admin/ who signed in by a phone code: staff enter by a password."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/admin/") and signed_in_by_code(request):
            request.user = AnonymousUser()
        return get_response(request)

    return middleware


def admin_policy_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Relax the Content-Security-Policy under /admin/ only.

    The theme's Alpine evaluates expressions of attributes and sets styles; members' pages stay
    without either.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith("/admin/"):
            response._csp_update = {  # read by csp.middleware
                "script-src": ["'self'", "'unsafe-eval'"],
                "style-src": ["'self'", "'unsafe-inline'"],
            }
        return response

    return middleware
