"""/metrics: for allowed addresses only, by route and not by address, true to what the database holds."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from analytics.models import Reconciliation, SyncWindow
from loyalty.models import CrmIntegration, CrmMessage, Notification, ParkedRefund
from loyalty.services.webhooks.endpoints import add_endpoint, ping
from loyalty.tasks import forget_answers
from svoykrug.metrics import jobs, state
from svoykrug.redis_client import redis_client
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, MemberFactory
from tests.receivers import no_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh")]
ROOT = Path(django_settings.BASE_DIR)


@pytest.fixture
def fresh(monkeypatch):
    """Nothing kept from an earlier scrape, and nothing noted of jobs."""
    monkeypatch.setattr(state, "_kept", (float("-inf"), b""))
    redis_client().delete(jobs.SUCCEEDED, jobs.FAILED)


def scrape(**extra):
    answer = Client().get("/metrics", **extra)
    assert answer.status_code == 200
    return values(answer.content.decode())


def values(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_not_by_address(client):
    def seen():
        return {
            tuple(dict(key[1:])[each] for each in ("route", "method", "status")): value
            for key, value in scrape().items()
            if key[0] == "svoykrug_http_requests_total"
        }

    def took():
        name = "svoykrug_http_request_duration_seconds_count"
        return scrape()[name, ("method", "GET"), ("route", "healthz")]

    client.get("/healthz")
    before, before_took = seen(), took()

    client.get("/healthz")
    client.get("/api/v1/coupons/CANARY-CODE")
    client.get("/nowhere/CANARY")
    client.generic("CANARY", "/healthz")

    after = seen()
    assert after["healthz", "GET", "200"] == before["healthz", "GET", "200"] + 1
    assert took() == before_took + 1
    assert after["healthz", "other", "405"] == before.get(("healthz", "other", "405"), 0) + 1
    assert after["none", "GET", "404"] == before.get(("none", "GET", "404"), 0) + 1
    assert "CANARY" not in Client().get("/metrics").content.decode()


@pytest.mark.parametrize(
    ("address", "forwarded", "proxies", "status"),
    [
        ("127.0.0.1", None, 0, 200),
        ("::1", None, 0, 200),
        ("203.0.113.9", None, 0, 404),
        ("", None, 0, 404),
        # A proxy that nobody told us of: whoever comes through it is not the proxy.
        ("127.0.0.1", "203.0.113.9", 0, 404),
        ("127.0.0.1", "203.0.113.9", 1, 404),
        ("127.0.0.1", "127.0.0.1, 203.0.113.9", 1, 404),
        ("10.0.0.1", "127.0.0.1", 1, 200),
    ],
)
def test_only_allowed_addresses_see_it(client, settings, address, forwarded, proxies, status):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    assert client.get("/metrics", REMOTE_ADDR=address, headers=headers).status_code == status


def test_the_allowed_networks_are_a_setting(client, settings):
    settings.METRICS_ALLOWED = ["203.0.113.0/24"]

    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 404


@pytest.fixture
def state_of_everything(settings):
    """One of each thing that is told, and canaries in what must not be."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    at = timezone.now()
    member = MemberFactory(first_name="Канарейка", phone="+79165550101")
    business = BusinessFactory(name="Canary & Co")
    bought = purchase(member, business, "100.00", at=at)
    refund(bought, "40.00", at=at)
    url = "http://127.0.0.1:9/canary"
    endpoint, _secret = add_endpoint(business=business, url=url, events=["purchase.created"])
    ping(endpoint, at=at)
    for hours in (2, -2):
        Notification.objects.create(
            member=member, channel="sms", purpose="service", template="canary", dedupe_key=str(hours),
            send_after=at - timedelta(hours=hours),
        )  # fmt: skip
    for days in (0, 31):
        row = ParkedRefund.objects.create(
            business=business, member=member, external_id=f"canary{days}", refund_of="canary", amount=1,
            purchased_at=at, source="till",
        )  # fmt: skip
        ParkedRefund.objects.filter(pk=row.pk).update(created_at=at - timedelta(days=days))
    integration = CrmIntegration.objects.create(business=business, provider="canary", secret=b"canary")
    CrmMessage.objects.create(integration=integration, digest="0", body=b"canary", next_attempt_at=at)
    SyncWindow.objects.create(
        table="transaction_facts", from_xid=1, to_xid=2, system_identifier="1", status="done", rows=7
    )
    SyncWindow.objects.create(table="transaction_facts", from_xid=2, to_xid=3, system_identifier="1")
    for outcome, month in (("differs", 1), ("healed", 1), ("differs", 2)):
        Reconciliation.objects.create(
            table="bonus_facts", month=f"2026-{month:02}-01", outcome=outcome, postgres_rows=1,
            clickhouse_rows=1, postgres_amount=1, clickhouse_amount=1,
        )  # fmt: skip


def test_the_state_is_what_the_database_holds(state_of_everything, monkeypatch):
    monkeypatch.setattr("svoykrug.health._ask_clickhouse", lambda: None)
    told = scrape()

    def of(name, **labels):
        return told["svoykrug_" + name, *sorted(labels.items())]

    assert of("recent_purchases", kind="purchase", source="till") == 1
    assert of("recent_purchases", kind="refund", source="till") == 1
    assert of("webhook_deliveries_pending") == 1
    assert abs(of("webhook_oldest_pending_seconds")) < 600
    assert of("webhook_endpoints_failing") == 0
    assert of("notifications_due", channel="sms") == 1
    assert 7200 <= of("notifications_oldest_due_seconds", channel="sms") < 7800
    assert (of("parked_refunds"), of("parked_refunds_overdue")) == (2, 1)
    assert of("crm_messages_due") == 1
    assert abs(of("sync_age_seconds", table="transaction_facts")) < 600
    assert of("sync_last_window_rows", table="transaction_facts") == 7
    assert of("sync_windows_unacknowledged") == 1
    assert abs(of("sync_horizon_held_seconds")) < 600
    differing = {table: of("reconciliation_months_differing", table=table) for table in state.FACTS}
    assert differing == {"transaction_facts": 0, "bonus_facts": 1, "event_facts": 0}
    assert of("job_scheduled", job="sync_transactions_to_clickhouse") == 1
    assert {of("server_up", server=name) for name in ("postgresql", "redis", "clickhouse")} == {1}
    assert of("celery_queue_length", queue="celery") >= 0


def test_nobody_is_named(state_of_everything):
    text = Client().get("/metrics").content.decode()

    assert "svoykrug_parked_refunds 2.0" in text
    assert not re.search("canary|канарейка|79165550101", text, re.IGNORECASE)


def test_a_scrape_costs_a_constant_number_of_queries_and_the_next_none(
    state_of_everything, client, django_assert_num_queries
):
    with django_assert_num_queries(2):  # One asks whether PostgreSQL is there.
        client.get("/metrics")
    with django_assert_num_queries(0):
        client.get("/metrics")


def test_a_job_leaves_the_moment_it_ended(monkeypatch):
    forget_answers.apply()
    told = scrape()
    succeeded = told["svoykrug_job_last_success_timestamp_seconds", ("job", "forget_answers")]
    assert abs(succeeded - timezone.now().timestamp()) < 600
    assert ("svoykrug_job_last_failure_timestamp_seconds", ("job", "forget_answers")) not in told

    def fails(at):
        raise ValueError

    monkeypatch.setattr("loyalty.services.idempotency.forget_answers", fails)
    monkeypatch.setattr(state, "_kept", (float("-inf"), b""))
    forget_answers.apply()

    failed = scrape()["svoykrug_job_last_failure_timestamp_seconds", ("job", "forget_answers")]
    assert failed >= succeeded


def test_what_is_away_is_said_and_the_rest_is_told(settings, monkeypatch):
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/default"
    monkeypatch.setattr("svoykrug.health.redis_client", no_redis)

    told = scrape()

    up = {dict(key[1:])["server"]: value for key, value in told.items() if key[0] == "svoykrug_server_up"}
    assert up == {"postgresql": 1, "redis": 0, "clickhouse": 0}
    assert told["svoykrug_parked_refunds",] == 0
    assert not [key for key in told if key[0].startswith("svoykrug_celery")]


def test_without_postgresql_the_counters_are_still_told(client, monkeypatch):
    client.get("/healthz")
    monkeypatch.setattr("svoykrug.health._ask_postgresql", lambda: (_ for _ in ()).throw(OSError))
    monkeypatch.setattr(connection, "cursor", None)

    told = scrape()

    assert told["svoykrug_server_up", ("server", "postgresql")] == 0
    assert any(key[0] == "svoykrug_http_requests_total" for key in told)


NAME = re.compile(r"\bsvoykrug_[a-z_]+\b")
OF_REQUESTS = {
    "svoykrug_http_requests_total",
    *(f"svoykrug_http_request_duration_seconds{end}" for end in ("", "_bucket", "_count", "_sum")),
}
KNOWN = OF_REQUESTS | {state.PREFIX + name for name in state.GAUGES}


def test_the_suggested_alerts_ask_for_what_exists():
    rules = [
        rule
        for group in yaml.safe_load((ROOT / "docs/examples/alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]

    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert NAME.findall(rule["expr"]), rule
        assert set(NAME.findall(rule["expr"])) <= KNOWN, rule
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_guide_lists_every_metric_and_no_other():
    text = (ROOT / "docs/operations.md").read_text()
    section = text.partition("## Metrics")[2].partition("\n## ")[0]

    told = set(NAME.findall(section))
    assert told == {"svoykrug_http_requests_total", "svoykrug_http_request_duration_seconds"} | {
        state.PREFIX + name for name in state.GAUGES
    }


def test_names_follow_the_conventions():
    for name, (words, labels) in state.GAUGES.items():
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert words[0].isupper() or words[0].isdigit()
        assert len(labels) <= 2
