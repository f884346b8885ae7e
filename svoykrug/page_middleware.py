"""Middleware of pages. A call of the API has no session, no form and no frame, and passes it by."""

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django_htmx.middleware import HtmxMiddleware

API = "/api/v1/"


class PagesOnly:
    """Put before a middleware of Django's: it sees no call of the API, which all tills would pay for."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(API):
            return self.get_response(request)
        return super().__call__(request)


class PageSession(PagesOnly, SessionMiddleware):
    pass


class PageUser(PagesOnly, AuthenticationMiddleware):
    pass


class PageMessages(PagesOnly, MessageMiddleware):
    pass


class PagePolicy(PagesOnly, CSPMiddleware):
    pass


class PageHtmx(PagesOnly, HtmxMiddleware):
    pass
