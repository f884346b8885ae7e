"""Lines of production: one JSON object each, the request's id in it, and nobody's data."""

import json
import logging
import os
import re
import subprocess
import sys
import uuid
from datetime import datetime

import pytest
from celery import shared_task
from django.conf import settings as django_settings
from django.db import IntegrityError, connection
from django.db.transaction import atomic
from django.test import Client

from loyalty.tasks import forget_answers
from svoykrug.celery import app
from svoykrug.log import HIDDEN, JsonFormatter, masked
from tests.factories import MemberFactory
from tests.svoykrug.test_settings import SAFE

CANARIES = (
    "79165550188",
    "916 555-01-88",
    "canary@example.ru",
    "Канарейкина",
    "sk_live_canary",
    "CANARY-COUPON",
)


@pytest.fixture
def lines():
    """Return what the process wrote so far, each line read as JSON."""
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    handler = Kept()
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in written]
    logging.getLogger().removeHandler(handler)


def test_a_line_says_when_where_and_what(lines):
    logging.getLogger("analytics.x").warning("%d months differ.", 3)

    [line] = lines()
    assert line.keys() == {"time", "level", "logger", "message"}
    assert (line["level"], line["logger"], line["message"]) == ("warning", "analytics.x", "3 months differ.")
    assert datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "text",
    [
        "+79165550188", "79165550188", "89165550188", "+7 (916) 555-01-88", "8 916 555-01-88",
        "+375 29 123-45-67", "canary@example.ru", "a.b+c@mail.example.com", "sk_live_abcDEF123", "sk_test_1",
        "whsec_c2VjcmV0", "eyJhbGciOi.eyJzdWIi.c2ln",
    ],
)  # fmt: skip
def test_contacts_and_keys_are_masked(text):
    assert masked(f"Said {text}, twice.") == f"Said {HIDDEN}, twice."


@pytest.mark.parametrize(
    "text",
    [
        "0198f2f0-0000-7000-8000-000000000000", "01984210-0000-7000-8000-000000000000", "2026-11-23 01:17:43",
        "Carried 79165 rows in 0.25 s", "127.0.0.1:5432", "process 1234567890", "0 → 89165",
    ],
)  # fmt: skip
def test_what_an_operator_needs_stays(text):
    assert masked(text) == text


def crash(request, *args, **kwargs):
    """As a page that meets a row it did not expect: the database's own words name what is in it."""
    try:
        MemberFactory(phone="+79165550188", first_name="Канарейкина", email="canary@example.ru")
    except IntegrityError as error:
        raise KeyError("Канарейкина CANARY-COUPON sk_live_canary +7 916 555-01-88") from error


@pytest.mark.django_db
def test_a_crash_is_told_with_its_request_and_nobodys_data(lines, monkeypatch):
    MemberFactory(phone="+79165550188")
    monkeypatch.setattr("svoykrug.health.ask_servers", lambda: crash(None))
    client = Client(raise_request_exception=False)
    name = uuid.uuid4().hex

    answer = client.get("/readyz?phone=%2B79165550188&code=CANARY-COUPON", headers={"X-Request-Id": name})

    assert (answer.status_code, answer["X-Request-Id"]) == (500, name)
    [line] = [line for line in lines() if line["logger"] == "django.request"]
    assert line["request_id"] == name
    assert line["message"] == "Internal Server Error: /readyz"
    assert line["exception"].index("UniqueViolation") < line["exception"].index("KeyError")
    assert "idx_users_phone" in line["exception"]
    assert "in crash" in line["exception"]
    # The code itself stands in a traceback: this file's own lines.
    values = "\n".join(
        part for part in line["exception"].splitlines() if not part.startswith(("  File", "    "))
    )
    for canary in CANARIES:
        assert canary not in values


@pytest.mark.django_db
def test_words_of_the_database_within_a_line_are_masked_too(lines):
    MemberFactory(phone="+79165550188")
    with pytest.raises(IntegrityError) as raised:
        MemberFactory(phone="+79165550188", last_name="Канарейкина")

    logging.getLogger("x").error("It failed: %s", raised.value)

    [line] = lines()
    assert "idx_users_phone" in line["message"]
    assert not any(canary in line["message"] for canary in CANARIES)


@pytest.mark.django_db
def test_a_tasks_lines_carry_its_id(lines, monkeypatch):
    def speaks(at):
        logging.getLogger("loyalty.tasks").warning("At work.")
        raise ValueError("'Канарейкина'")

    monkeypatch.setattr("loyalty.services.idempotency.forget_answers", speaks)

    done = forget_answers.apply()

    told = [line for line in lines() if line["logger"] != "celery.app.trace"]
    assert [(line["message"], line["request_id"]) for line in told] == [("At work.", done.id)]
    assert app.conf.worker_hijack_root_logger  # in development


SPEAK = """
import logging, django
django.setup()
logging.getLogger("svoykrug.x").info("To %s", "+79165550188")
from svoykrug.celery import app
assert not app.conf.worker_hijack_root_logger
"""


def test_production_writes_json():
    done = subprocess.run(
        [sys.executable, "-c", SPEAK],
        cwd=django_settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "svoykrug.settings", **SAFE},
        capture_output=True,
        text=True,
        check=True,
    )

    [line] = map(json.loads, done.stderr.splitlines())
    assert (line["level"], line["message"]) == ("info", f"To {HIDDEN}")


@pytest.mark.django_db
def test_calls_with_somebodys_data_leave_none_of_it(lines, settings, caplog):
    """Refused and answered calls, and a database that is away."""
    settings.OTP_DELIVERY = "tests.svoykrug.test_log.deliver"
    client = Client()
    client.post("/api/v1/auth/otp", {"phone": "+79165550188"}, content_type="application/json")
    client.get(
        "/api/v1/members/lookup?phone=%2B79165550188", headers={"Authorization": "Api-Key sk_live_canary"}
    )
    client.get("/api/v1/coupons/CANARY-COUPON", headers={"Authorization": "Api-Key sk_live_canary"})
    client.post(
        "/api/v1/transactions", '{"member": {"phone": "+79165550188"', content_type="application/json"
    )
    with connection.execute_wrapper(lambda *args: (_ for _ in ()).throw(OSError("Канарейкина"))):
        Client(raise_request_exception=False).post(
            "/api/v1/auth/token", {"phone": "+79165550188", "code": "123456"}, content_type="application/json"
        )

    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines() if "exception" not in line)
    assert not any(canary in text for canary in CANARIES)


def deliver(phone, code, purpose):
    """Send nothing."""


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ('invalid input syntax for type uuid: "Канарейкина"', "invalid input syntax for type uuid: "),
        ('invalid input value for enum kind: "canary"', "invalid input value for enum kind: "),
        ('value "CANARY 12" is out of range', "is out of range"),
        ('null value in column "phone" of relation "users"', 'column "phone" of relation "users"'),
        ('violates check constraint "users_phone_check"', '"users_phone_check"'),
        ("“Канарейкина” is not a valid UUID", "is not a valid UUID"),
        ("duplicate key\nDETAIL:  Failing row contains (1, Канарейкина,\nCANARY-COUPON).", "duplicate key"),
    ],
)
def test_values_that_words_of_an_exception_hold_are_masked_and_names_stay(lines, words, kept):
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("x").exception("It failed.")

    told = lines()[0]["exception"].split("ValueError: ")[-1]
    assert kept in told
    assert not any(canary in told for canary in (*CANARIES, "canary", "CANARY"))


@pytest.mark.django_db
def test_a_job_that_fails_or_tries_again_tells_nobodys_data(lines, caplog):
    @shared_task(name="tests.log.fails", bind=True)
    def fails(self, again):
        try:
            with atomic():
                MemberFactory(phone="+79165550188", last_name="Канарейкина")
        except IntegrityError as error:
            if again and not self.request.retries:
                raise self.retry(exc=error, countdown=0) from error
            raise

    caplog.set_level(logging.INFO, "celery.app.trace")
    MemberFactory(phone="+79165550188")

    for again in (False, True):
        fails.apply([again])

    told = [line for line in lines() if line["logger"] == "celery.app.trace"]
    assert {re.sub(r"\[.*?\]|in \d+s", "", line["message"]) for line in told} >= {
        "Task tests.log.fails raised unexpected: IntegrityError",
        "Task tests.log.fails retry: Retry : IntegrityError",
    }
    assert "idx_users_phone" in told[0]["exception"]
    for line in told:
        # The code itself stands in a traceback: this file's own lines.
        values = [part for part in line.get("exception", "").splitlines() if not part.startswith("  ")]
        assert not any(canary in "\n".join([line["message"], *values]) for canary in CANARIES)
