"""Lists by cursor: stable while rows are added, no counting."""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any
from urllib.parse import parse_qsl

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MOST_ROWS = 200


class NewestFirst(CursorPagination):
    """`{"next", "previous", "results"}`, by `created_at` and then by key."""

    page_size = 50
    max_page_size = MOST_ROWS
    page_size_query_param = "page_size"
    ordering = ("-created_at", "-id")

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_ROWS):
            raise ValidationError({"page_size": [_("A number from 1 to %(most)d.") % {"most": MOST_ROWS}]})
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Refuse a cursor that we did not make, before it reaches the query."""
        encoded = request.query_params.get("cursor")
        if encoded is None:
            return None
        refusal = ValidationError({"cursor": [_("Take the cursor from next or previous.")]})
        try:
            tokens = dict(parse_qsl(b64decode(encoded.encode("ascii"), validate=True).decode("ascii")))
            position = tokens.get("p")
            moment = parse_datetime(position) if position is not None else None
            if position is not None and (moment is None or moment.tzinfo is None):
                raise refusal
            offset = int(tokens.get("o", "0"))
        except (ValueError, NotBase64):
            raise refusal from None
        if not 0 <= offset <= self.offset_cutoff:
            raise refusal
        return Cursor(offset=offset, reverse=tokens.get("r") == "1", position=position)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        url = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": url, "previous": url, "results": schema},
        }
