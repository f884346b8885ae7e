"""What the OpenAPI description says of every call."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers

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


def describe(*, answers: dict[int, Any], problems: tuple[int, ...], **more: Any) -> Any:
    """Describe a call: its answers by status, and the statuses of its problems."""
    responses: dict[Any, Any] = dict(answers)
    for status in problems:
        responses[status, CONTENT_TYPE] = OpenApiResponse(Problem)
    return extend_schema(responses=responses, **more)
