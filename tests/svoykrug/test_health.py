"""Liveness says the process answers; readiness says what stands behind it."""

import pytest
from django.db import OperationalError, connection
from django.test import Client

from svoykrug import health
from tests.receivers import no_redis

pytestmark = pytest.mark.django_db
ALL_WELL = {"postgresql": "ok", "redis": "ok", "clickhouse": "ok"}


@pytest.fixture
def clickhouse_answers(monkeypatch):
    monkeypatch.setattr(health, "_ask_clickhouse", lambda: None)


def test_alive_asks_nobody(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_all_answer(client, clickhouse_answers):
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": ALL_WELL})
    assert "no-store" in answer["Cache-Control"]


def test_analytics_away_is_said_and_keeps_the_till_ready(client, settings):
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/default"

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": ALL_WELL | {"clickhouse": "unavailable"}}


@pytest.mark.parametrize("address", ["", "nonsense"])
def test_analytics_without_an_address_are_away(client, settings, address):
    settings.CLICKHOUSE_URL = address

    assert client.get("/readyz").json()["checks"]["clickhouse"] == "unavailable"


def test_not_ready_without_redis(client, monkeypatch, clickhouse_answers):
    monkeypatch.setattr(health, "redis_client", no_redis)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "checks": ALL_WELL | {"redis": "unavailable"}}


def test_not_ready_without_postgresql(client, monkeypatch, clickhouse_answers):
    def away():
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", away)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "checks": ALL_WELL | {"postgresql": "unavailable"}}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_another_method_is_not_allowed(path):
    assert Client(enforce_csrf_checks=True).post(path).status_code == 405
