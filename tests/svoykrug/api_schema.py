"""The description of the API as tests read it: calls, values made from it, answers judged by it."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.test import Client
from jsonschema import Draft7Validator

PROBLEM = "application/problem+json"
CODES = re.compile("`([a-z_]+)`")


@cache
def description() -> dict[str, Any]:
    answer = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    return answer.json()


def _plain(schema: Any) -> Any:
    """Return OpenAPI 3.0's dialect as JSON Schema: references resolved, `nullable` said in its way."""
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _plain(description()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    plain = {name: _plain(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    parameters: tuple[dict[str, Any], ...]
    body: dict[str, Any] | None
    example: Any
    responses: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def wrong(self, answer: Any) -> str | None:
        """Return what the description does not promise of this answer, or None."""
        told = self.responses.get(str(answer.status_code))
        if told is None:
            return f"status {answer.status_code} is not described"
        content = told.get("content")
        if not content:
            return "a body is not described" if answer.content else None
        if answer["Content-Type"] not in content:
            return f"content type {answer['Content-Type']} is not described"
        body = answer.json()
        for fault in Draft7Validator(content[answer["Content-Type"]]["schema"]).iter_errors(body):
            return f"{list(fault.absolute_path)}: {fault.message}"
        if answer["Content-Type"] == PROBLEM and body["code"] not in CODES.findall(told["description"]):
            return f"code {body['code']} is not described"
        if answer.status_code in {409, 429, 503} and body["code"] in {"in_progress", "throttled"}:
            return None if "Retry-After" in answer.headers else "Retry-After is missing"
        return None


@cache
def operations() -> tuple[Operation, ...]:
    return tuple(_operations())


def _operations() -> Iterator[Operation]:
    for path, calls in description()["paths"].items():
        for method, call in calls.items():
            content = call.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = [each["value"] for each in content.get("examples", {}).values()]
            yield Operation(
                method.upper(),
                path,
                tuple(_plain(call.get("parameters", []))),
                _plain(content["schema"]) if content else None,
                examples[0] if examples else None,
                _plain(call["responses"]),
            )


# --- Values -------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**30, -0.0, 1e308, 0.1, "", " ", "0", "\x00", "\ud800", "💸", "ı", "null",
    "a" * 5000, "+79", "-1.00", "1.001", "1e5", "NaN", "9" * 40, "2026-02-30", "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59+14:00", "2026-01-01T00:00:00", [], [[]], {}, {"a": {}}, [None], ["x"] * 600,
    "' OR 1=1 --", "../../etc/passwd", "<script>", "%s%n", "\u202e", "１２３",
)  # fmt: skip


def value(schema: dict[str, Any], chance: random.Random, known: dict[str, Any], name: str = "") -> Any:
    """Return something that the schema allows, as far as it says.

    known  values by the names of fields that mean something here, such as a member's phone; half the
           time they are taken, or hardly any call would succeed
    """
    if name in known and chance.random() < 0.7:
        return known[name]
    if "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
        several = schema.get("anyOf") or schema.get("oneOf") or schema["allOf"]
        return value(chance.choice(several), chance, known, name)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, chance, known)
    if kind == "array":
        return [value(schema.get("items", {}), chance, known) for _ in range(chance.randrange(3))]
    if kind == "integer":
        return chance.choice([schema.get("minimum", 0), schema.get("maximum", 9), 1])
    if kind == "boolean":
        return chance.random() < 0.5
    return None if kind == "null" else _text(schema, chance)


def _object(schema: dict[str, Any], chance: random.Random, known: dict[str, Any]) -> dict[str, Any]:
    named, needed = schema.get("properties", {}), set(schema.get("required", ()))
    return {
        name: value(inner, chance, known, name)
        for name, inner in named.items()
        if name in needed or chance.random() < (0.8 if name in known else 0.2)
    }


def _text(schema: dict[str, Any], chance: random.Random) -> str:
    made = {
        "decimal": f"{chance.randrange(1, 10**5)}.{chance.randrange(100):02}",
        "uuid": f"0198f2f0-0000-7000-8000-{chance.randrange(16**12):012x}",
        "date-time": f"2026-0{chance.randrange(1, 10)}-1{chance.randrange(10)}T10:00:00+03:00",
        "date": f"19{chance.randrange(50, 99)}-02-28",
        "email": "anna@example.org",
    }
    if (form := schema.get("format")) in made:
        return made[form]
    digits = "".join(chance.choice("0123456789") for _ in range(6))
    return chance.choice([digits, f"+7900{digits}0", "card", "Чай", f"t-{digits}"])[
        : schema.get("maxLength", 99)
    ]


def damaged(body: Any, chance: random.Random) -> Any:
    """Return the body with one thing about it changed."""
    if isinstance(body, dict) and body and chance.random() < 0.8:
        name = chance.choice(list(body))
        deed = chance.randrange(4)
        if deed == 0:
            return {key: inner for key, inner in body.items() if key != name}
        if deed == 1:
            return body | {chance.choice(["id", "is_staff", "x" * 300, "", "\ud800", "член"]): 1}
        return body | {name: damaged(body[name], chance)}
    if isinstance(body, list) and body and chance.random() < 0.5:
        place = chance.randrange(len(body))
        return [*body[:place], damaged(body[place], chance), *body[place + 1 :]]
    return chance.choice(ODD)


def as_json(body: Any) -> str:
    return json.dumps(body)
