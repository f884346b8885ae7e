"""Every refusal of the API as a problem document (RFC 9457)."""

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import DataError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_standardized_errors.formatter import flatten_errors
from rest_framework import exceptions, status
from rest_framework.response import Response

from svoykrug.errors import DomainError

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 1
ERRORS_IN_DETAIL = 5
TITLES = {
    "invalid": gettext_lazy("The request is not valid"),
    "not_authenticated": gettext_lazy("Authentication is needed"),
    "permission_denied": gettext_lazy("This is not allowed"),
    "not_found": gettext_lazy("There is no such object"),
    "member_not_found": gettext_lazy("There is no such member"),
    "external_id_reused": gettext_lazy("The receipt is already recorded with other content"),
    "idempotency_key_reused": gettext_lazy("The Idempotency-Key was used with other content"),
    "in_progress": gettext_lazy("The same call is being answered"),
    "refund_unlinked": gettext_lazy("The refund names no purchase"),
    "refund_exceeds_purchase": gettext_lazy("The refund is larger than what is left of the purchase"),
    "presence_code_invalid": gettext_lazy("The member code did not fit"),
    "insufficient_bonus": gettext_lazy("There are not enough bonuses"),
    "redemption_limit_exceeded": gettext_lazy("More than bonuses may pay of this bill"),
    "quote_changed": gettext_lazy("The outcome is not the quoted one any more"),
    "coupon_not_redeemable": gettext_lazy("The coupon cannot be redeemed"),
    "accrual_stopped": gettext_lazy("Bonuses are not given here now"),
    "throttled": gettext_lazy("Too many requests"),
    "unavailable": gettext_lazy("The service is busy"),
    "analytics_unavailable": gettext_lazy("Reports are resting"),
    "method_not_allowed": gettext_lazy("This method is not allowed here"),
    "not_acceptable": gettext_lazy("Only JSON can be answered"),
    "unsupported_media_type": gettext_lazy("Only JSON in UTF-8 is read"),
    "too_large": gettext_lazy("The request is too large"),
    "internal_error": gettext_lazy("Something went wrong on our side"),
}
# DRF's own words for what the contract calls otherwise.
CODES = {"authentication_failed": "not_authenticated", "parse_error": "invalid", "error": "invalid"}


def problem(
    request: HttpRequest | None,
    *,
    status: int,
    code: str,
    detail: Any,
    errors: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the members of a problem document.

    errors  {"field", "code", "detail"} each, `field` as a dotted path
    """
    return {
        "type": f"urn:svoykrug:problem:{code}",
        "title": safe_text(TITLES.get(code) or HTTPStatus(status).phrase),
        "status": status,
        "code": code,
        "detail": safe_text(detail),
        "errors": [{name: safe_text(value) for name, value in error.items()} for error in errors or []],
        "request_id": getattr(request, "id", ""),
    }


def problem_response(request: HttpRequest, *, status: int, code: str, detail: Any) -> HttpResponse:
    """Answer a problem from outside DRF, such as an unknown path."""
    body = problem(request, status=status, code=code, detail=detail)
    return JsonResponse(
        body, status=status, content_type=CONTENT_TYPE, json_dumps_params={"ensure_ascii": False}
    )


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into a problem; only what nobody foresaw stays an error of ours."""
    request = context["request"]
    headers: dict[str, str] = {}
    if isinstance(error, DomainError):
        body = _of_domain_error(request, error)
        retry_after = error.details.get("retry_after")
    else:
        known = _as_api_exception(error)
        if known is None:
            return None
        body = _of_api_exception(request, known)
        retry_after = getattr(known, "wait", None)
        if challenge := getattr(known, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
    if body["status"] == status.HTTP_503_SERVICE_UNAVAILABLE:
        retry_after = retry_after or RETRY_SECONDS
    if retry_after:
        headers["Retry-After"] = str(int(retry_after))
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def domain_errors_of(error: DomainError) -> list[dict[str, str]]:
    """Return the fields a domain error speaks of; where it has words for each, each with its own."""
    fields = error.details.get("fields") or ([error.field] if error.field else [])
    words = fields if isinstance(fields, dict) else {}
    return [
        {"field": field, "code": error.code, "detail": words.get(field, error.detail)} for field in fields
    ]


def field_errors_of(error: exceptions.ValidationError) -> list[dict[str, str]]:
    """Return the errors of a serializer, nested ones with a dotted path."""
    return [
        {
            "field": (flat.attr or "").removesuffix("non_field_errors").removesuffix("."),
            "code": flat.code,
            "detail": flat.detail,
        }
        for flat in flatten_errors(error.detail)
    ]


def _of_domain_error(request: HttpRequest, error: DomainError) -> dict[str, Any]:
    return problem(
        request, status=error.status, code=error.code, detail=error.detail, errors=domain_errors_of(error)
    )


def _of_api_exception(request: HttpRequest, error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = field_errors_of(error)
        return problem(request, status=400, code="invalid", detail=summary(errors), errors=errors)
    code = getattr(error.detail, "code", error.default_code)
    return problem(request, status=error.status_code, code=CODES.get(code, code), detail=error.detail)


def summary(errors: list[dict[str, str]]) -> str:
    """Return one sentence that names the first errors' fields."""
    return "; ".join(
        f"{error['field']}: {error['detail']}" if error["field"] else str(error["detail"])
        for error in errors[:ERRORS_IN_DETAIL]
    )


def _as_api_exception(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound(_("There is no such object."))
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, OperationalError):
        return _of_operational_error(error)
    if isinstance(error, DataError):
        # A value slipped past validation and the database refused it: a gap to close, not a 500.
        logger.exception("The database refused a value of a request")
        return exceptions.ParseError(_("A value is outside what can be stored."))
    return None


def _of_operational_error(error: OperationalError) -> exceptions.APIException:
    cause = error.__cause__
    waiting = (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.SerializationFailure,
        psycopg.errors.QueryCanceled,
    )
    if not isinstance(cause, waiting):
        logger.error("The database is away", exc_info=error)
    busy = exceptions.APIException(_("The service is busy. Repeat in a moment."), code="unavailable")
    busy.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return busy


def safe_text(value: Any) -> str:
    """Words of the caller may hold half a surrogate pair, which no answer can carry."""
    return str(value).encode("utf-8", "replace").decode()
