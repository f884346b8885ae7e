"""Calls the API as a till or a member would: over HTTP, with a credential."""

import json
from typing import Any

from django.test import Client

# What nobody joins without.
JOINING = {"consents": {"processing": True}}
PROBLEM = "application/problem+json"


class Caller:
    """An API client with one Authorization header."""

    def __init__(self, authorization: str = "") -> None:
        self.client = Client(raise_request_exception=False)
        # Answers in English, whatever the installation's language.
        self.headers = {
            "Accept-Language": "en",
            **({"Authorization": authorization} if authorization else {}),
        }

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)

    def post(self, path: str, body: Any, content_type: str = "application/json", **headers: str) -> Any:
        return self.send("POST", path, body, content_type, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.client.delete(f"/api/v1/{path}", headers=self.headers | headers)

    def send(
        self, method: str, path: str, body: Any, content_type: str = "application/json", **headers: str
    ) -> Any:
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        # Not client.post(): that one would recode the body to the charset named.
        return self.client.generic(
            method, f"/api/v1/{path}", raw, content_type=content_type, headers=self.headers | headers
        )


def refusal(answer: Any) -> tuple[int, str, list[tuple[str, str]]]:
    """Return status, code and (field, code) of each error, having checked that it is a problem."""
    assert answer["Content-Type"] == PROBLEM, answer.content
    body = answer.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "errors", "request_id"}
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer["X-Request-Id"]
    return body["status"], body["code"], sorted((error["field"], error["code"]) for error in body["errors"])
