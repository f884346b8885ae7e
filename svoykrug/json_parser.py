"""Reads a JSON body strictly: what is ambiguous is refused, amounts never become floats."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from svoykrug.errors import DomainError


class BodyTooLarge(DomainError):
    code = "too_large"
    status = 413


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = (parser_context or {})["request"]
        charset = request.content_params.get("charset", "utf-8")
        if charset.strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType(media_type or "", _("The body must be in UTF-8."))
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise BodyTooLarge(_("The body is larger than %(most)d bytes.") % {"most": limit})
        try:
            # Tills on Windows begin the text with a byte order mark.
            return json.loads(
                raw.decode("utf-8-sig"),
                parse_float=Decimal,
                parse_constant=_refuse_constant,
                object_pairs_hook=_object,
            )
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
        except ValueError as error:
            # Covers broken UTF-8, broken JSON and numbers of thousands of digits.
            raise ParseError(_("The body is not valid JSON: %(why)s") % {"why": error}) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found
