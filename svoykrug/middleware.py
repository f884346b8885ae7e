"""What every request passes through."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Give each request an id, or keep a sane one of the caller, and return it as X-Request-Id."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request.id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        response = get_response(request)
        response["X-Request-Id"] = request.id
        return response

    return middleware


def client_address(request: HttpRequest) -> str:
    """Return the caller's address as the server in front of us sees it.

    Forwarding headers are anyone's to write; gunicorn is told which proxies to believe.
    """
    return str(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104  a label, nothing is bound
