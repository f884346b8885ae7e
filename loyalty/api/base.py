"""What every call of the API passes through: how often it may come, and its Idempotency-Key."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db.transaction import atomic
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.models import ApiKey, Member
from loyalty.services.idempotency import Answer, Call, call_of, first_answer, keep
from loyalty.services.limits import MINUTE, Limit, keyed_hash
from loyalty.services.throttling import check_rate
from svoykrug.failpoints import failpoint
from svoykrug.json_renderer import FastJSONRenderer
from svoykrug.middleware import client_address

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
LONGEST_KEY = 255


class ApiView(GenericAPIView[Any]):
    """The base of every view under /api/v1/; tests/test_routes.py refuses one that is not."""

    # OPTIONS would tell of serializers; the description of the API does.
    metadata_class = None
    takes_idempotency_key = True

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        name = str(request.method).lower()
        may_be_kept = self.takes_idempotency_key and request.method not in SAFE_METHODS
        if may_be_kept and KEY_HEADER in request.headers and hasattr(self, name):
            # The caller is known from here on, and only from here: what is kept is kept per caller.
            setattr(self, name, partial(self.once, getattr(self, name)))

    def check_throttles(self, request: Request) -> None:
        check_rate(_limit_of(request), at=timezone.now())

    def once(self, handler: Callable[..., Any], request: Request, *args: Any, **kwargs: Any) -> Any:
        """Answer a call that carries an Idempotency-Key: from memory, or by doing it and keeping the answer.

        A refusal changed nothing and is not kept: the call may come again, corrected or not.
        """
        at, call = timezone.now(), _call(request)
        with atomic():
            if answer := first_answer(call, at=at):
                return _replayed(answer)
            try:
                response = handler(request, *args, **kwargs)
            except Exception as error:
                # Within the transaction: what a refusal leaves on purpose, such as an ended session, stays.
                return self.handle_exception(error)
            if response.status_code < 300:
                keep(call, _answer(response), at=at)
            failpoint("idempotent-before-commit")
        failpoint("idempotent-after-commit")
        return response


class OpenView(ApiView):
    """A call that needs no credential, and so looks at none."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


def _limit_of(request: Request) -> Limit:
    if isinstance(request.auth, ApiKey):
        return Limit("api:key", str(request.auth.pk), settings.API_CALLS_PER_KEY, MINUTE)
    if isinstance(request.user, Member):
        return Limit("api:member", str(request.user.pk), settings.API_CALLS_PER_MEMBER, MINUTE)
    return Limit("api:address", client_address(request), settings.API_CALLS_PER_ADDRESS, MINUTE)


def _call(request: Request) -> Call:
    key = request.headers[KEY_HEADER]
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        detail = _("1 to %(most)d visible ASCII characters.") % {"most": LONGEST_KEY}
        raise ValidationError({KEY_HEADER: [detail]})
    try:
        return call_of(
            caller=_caller(request),
            key=key,
            method=str(request.method),
            path=request.path,
            body=request.data,
        )
    except RecursionError:
        raise ParseError(_("The JSON is nested too deeply.")) from None


def _caller(request: Request) -> str:
    if isinstance(request.auth, ApiKey):
        return f"key:{request.auth.pk}"
    if isinstance(request.user, Member):
        return f"member:{request.user.pk}"
    return f"address:{keyed_hash(client_address(request))}"


def _answer(response: Any) -> Answer:
    body = FastJSONRenderer().render(response.data) if isinstance(response, Response) else response.content
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    return Answer(response.status_code, headers, body)


def _replayed(answer: Answer) -> HttpResponse:
    kind = {"content_type": FastJSONRenderer.media_type} if answer.body else {}
    response = HttpResponse(answer.body, status=answer.status, headers=answer.headers, **kind)
    if not answer.body:
        del response["Content-Type"]
    response[REPLAYED_HEADER] = "true"
    return response
