"""How a session was opened: by a password, or by a code sent to the phone."""

from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

PHONE_CODE = "loyalty.backends.PhoneCodeBackend"


class PhoneCodeBackend(ModelBackend):
    """Marks the session of a member who signed in by a code; it checks no password itself."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        return None


def signed_in_by_code(request: HttpRequest) -> bool:
    """Whether this session was opened by a phone code: good for members' pages, not for the admin."""
    return request.session.get(BACKEND_SESSION_KEY) == PHONE_CODE
