"""What the OpenAPI description says of every call."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from svoykrug.errors import DomainError
from svoykrug.health import AWAY, OK, SERVERS
from svoykrug.problems import CONTENT_TYPE


class FieldProblem(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Dotted path, such as `member.phone`.")
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """A problem document of RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable: branch on it.")
    detail = serializers.CharField(help_text="For people, in the language of Accept-Language.")
    errors = FieldProblem(many=True)
    request_id = serializers.CharField(help_text="Also in X-Request-Id; name it when you ask for help.")


# Codes that need no telling of each call; the others are told by `describe(refuses=…)`.
USUAL = {
    400: "invalid",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "throttled",
    503: "unavailable",
}
# An Idempotency-Key may be refused so.
OF_THE_KEY = {400: "invalid", 409: "in_progress", 422: "idempotency_key_reused"}
KEY_PARAMETER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="Your own name for this call. For 24 hours a repeat with it gets the first answer, "
    "with `Idempotent-Replayed: true`; other content is refused.",
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, description="Seconds.", response=[409, 429, 503]
)
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    description="The answer is the first one, given again.",
    response=[200, 201, 202, 204],
)


def describe(
    *,
    answers: dict[int, Any],
    problems: tuple[int, ...] = (),
    refuses: tuple[type[DomainError], ...] = (),
    example: Any = None,
    **more: Any,
) -> Any:
    """Describe a call: its answers by status, and what it may be refused for.

    problems  statuses whose codes are the usual ones; those that every call may have need no telling
    refuses   refusals of its own: status and code are theirs
    example   a body that is accepted; tests/svoykrug/test_api_examples.py sends it
    """
    codes: dict[int, list[str]] = {status: [] for status in problems}
    for refusal in refuses:
        codes.setdefault(refusal.status, []).append(refusal.code)
    responses: dict[Any, Any] = dict(answers)
    for status in sorted(codes):
        told = ([USUAL[status]] if status in problems and status in USUAL else []) + codes[status]
        responses[status, CONTENT_TYPE] = OpenApiResponse(Problem, description=_listed(told))
    if example is not None:
        more["examples"] = [OpenApiExample("example", example, request_only=True)]
    return extend_schema(responses=responses, **more)


class CallSchema(AutoSchema):
    """Adds to each call what the base view does for all of them (loyalty/api/base.py)."""

    def get_override_parameters(self) -> list[Any]:
        return [RETRY_AFTER, *([KEY_PARAMETER, REPLAYED] if self._takes_key() else [])]

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        if direction != "response":
            return bodies
        for status, codes in self._of_every_call().items():
            kept = bodies.get(str(status))
            told = CODE.findall(kept["description"]) if kept else []
            words = _listed([*told, *(code for code in codes if code not in told)])
            bodies[str(status)] = self._get_response_for_code(
                OpenApiResponse(Problem, description=words), str(status), media_types=[CONTENT_TYPE]
            )
        return dict(sorted(bodies.items()))

    def _of_every_call(self) -> dict[int, list[str]]:
        statuses = [406, 429, 503]
        if self.view.authentication_classes:
            statuses += [401, 403]
        found = {status: [USUAL[status]] for status in statuses}
        if self._takes_key():
            for status, code in OF_THE_KEY.items():
                found.setdefault(status, []).append(code)
            # A body is read for its key even where the call has no use for one.
            found |= {status: [USUAL[status]] for status in (413, 415)}
        return found

    def _takes_key(self) -> bool:
        return self.method not in {"GET", "HEAD", "OPTIONS"} and self.view.takes_idempotency_key


CODE = re.compile("`([a-z_]+)`")


def _listed(codes: list[str]) -> str:
    return ", ".join(f"`{code}`" for code in dict.fromkeys(codes))


def describe_health(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add /healthz and /readyz: plain Django views, which must answer without what calls pass through."""
    result["paths"] |= {
        "/healthz": _health("healthz", "The process answers.", {"200": _says("Alive", ["ok"])}),
        "/readyz": _health(
            "readyz",
            "What stands behind the process answers; analytics away leaves it ready.",
            {
                "200": _says("Ready", ["ready"], CHECKS),
                "503": _says("PostgreSQL or Redis does not answer", ["not ready"], CHECKS),
            },
        ),
    }
    return result


def _health(name: str, description: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "description": description,
            "tags": ["health"],
            "security": [{}],
            "responses": responses,
        }
    }


def _says(description: str, statuses: list[str], more: dict[str, Any] | None = None) -> dict[str, Any]:
    fields = {"status": {"type": "string", "enum": statuses}} | (more or {})
    body = {"type": "object", "properties": fields, "required": list(fields)}
    return {"description": description, "content": {"application/json": {"schema": body}}}


_ANSWERS = {"type": "string", "enum": [OK, AWAY]}
CHECKS = {
    "checks": {
        "type": "object",
        "properties": dict.fromkeys(SERVERS, _ANSWERS),
        "required": list(SERVERS),
    }
}
