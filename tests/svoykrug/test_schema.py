"""The description of the API is complete and served without a foreign host."""

import re
from io import StringIO
from itertools import chain

import pytest
from django.core.management import call_command
from django.urls import get_resolver

CALLS = 44


def test_schema_is_valid_and_nothing_in_it_is_guessed():
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_every_call_is_described(client):
    schema = client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()

    included = [p.url_patterns for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/"]
    routes = {"/api/v1/" + re.sub(r"<\w+:(.+?)>", r"{\1}", str(p.pattern)) for p in chain(*included)}
    assert set(schema["paths"]) == routes | {"/healthz", "/readyz"}
    assert sum(len(calls) for calls in schema["paths"].values()) == CALLS


@pytest.mark.parametrize("path", ["/api/docs/", "/api/docs/?script="])
def test_page_names_no_foreign_host_and_keeps_to_the_content_policy(client, path):
    answer = client.get(path)
    page = answer.content.decode()

    assert answer.status_code == 200
    assert not re.findall(r"(?:https?:)?//[a-z]", re.sub(r"^\s*//.*$", "", page, flags=re.M))
    assert "<style" not in page
    assert not re.findall(r"<script>|\son[a-z]+=", page)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
