"""Secrets move to a new key: all of them, once, however often the move is broken off."""

import os
import subprocess
import sys
from io import StringIO
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection, models

from loyalty.models import AuditLog, KeptAnswer, SecondFactor, WebhookEndpoint
from svoykrug import rotation
from svoykrug.db.models import EncryptedField
from svoykrug.encryption import decrypt, encrypt, is_of_first_key
from svoykrug.rotation import encrypted_columns
from tests.factories import BusinessFactory, MemberFactory

# Bytes that are no secret.
PLAIN = {("crm_messages", "body")}
KILLED = -9


def rotated():
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    return out.getvalue().splitlines()


def an_endpoint(secret, old=None):
    return WebhookEndpoint.objects.create(
        business=BusinessFactory(), url="https://till.example/", events=[], secret=encrypt(secret),
        old_secret=encrypt(old) if old else None,
    )  # fmt: skip


def an_answer(number):
    return KeptAnswer.objects.create(
        caller="x", key=str(number), call="POST /", fields={}, status=200, answer=encrypt(f"body {number}")
    )


@pytest.mark.django_db
def test_every_column_of_bytes_is_known_to_be_a_secret_or_none():
    apps_of_ours = {"loyalty", "promos", "events", "analytics"}
    ours = [model for model in apps.get_models() if model._meta.app_label in apps_of_ours]
    columns = {
        (model._meta.db_table, field.column): isinstance(field, EncryptedField)
        for model in ours
        for field in model._meta.concrete_fields
        if isinstance(field, models.BinaryField)
    }

    assert {column for column, is_secret in columns.items() if not is_secret} == PLAIN
    assert {("webhook_endpoints", "secret"), ("second_factors", "secret"), ("idempotency_keys", "answer"),
            ("crm_integrations", "secret")} <= set(encrypted_columns())  # fmt: skip


@pytest.mark.django_db
def test_whatever_the_old_key_encrypted_is_read_by_the_new_one_alone(settings):
    settings.ENCRYPTION_KEYS = ["old"]
    endpoint = an_endpoint("whsec_1", old="whsec_0")
    factor = SecondFactor.objects.create(member=MemberFactory(), secret=encrypt("aa"))
    an_answer(1)
    settings.ENCRYPTION_KEYS = ["new", "old"]
    late = an_answer(2)

    lines = rotated()

    settings.ENCRYPTION_KEYS = ["new"]
    endpoint.refresh_from_db()
    factor.refresh_from_db()
    assert [decrypt(endpoint.secret), decrypt(endpoint.old_secret), decrypt(factor.secret)] == [
        "whsec_1", "whsec_0", "aa",
    ]  # fmt: skip
    assert [decrypt(row.answer) for row in KeptAnswer.objects.order_by("key")] == ["body 1", "body 2"]
    assert bytes(KeptAnswer.objects.get(pk=late.pk).answer) == late.answer
    assert "idempotency_keys.answer: 2 rows, 1 renewed" in "\n".join(lines)
    assert lines[-1].startswith("ok")
    assert "whsec" not in str(list(AuditLog.objects.values_list("changes", flat=True)))


@pytest.mark.django_db
def test_a_second_run_changes_nothing(settings):
    settings.ENCRYPTION_KEYS = ["old"]
    an_endpoint("whsec_1")
    settings.ENCRYPTION_KEYS = ["new", "old"]
    rotated()
    stored = bytes(WebhookEndpoint.objects.get().secret)

    lines = rotated()

    assert bytes(WebhookEndpoint.objects.get().secret) == stored
    assert all(line.endswith(" 0 renewed") for line in lines[:-1])


@pytest.mark.django_db
def test_what_no_key_reads_is_named_and_the_rest_is_renewed(settings):
    settings.ENCRYPTION_KEYS = ["lost"]
    lost = an_answer(1)
    settings.ENCRYPTION_KEYS = ["old"]
    an_answer(2)
    settings.ENCRYPTION_KEYS = ["new", "old"]
    out = StringIO()

    with pytest.raises(CommandError, match="1 secrets are read by no key"):
        call_command("rotate_secrets", stdout=out)

    assert str(lost.pk) in out.getvalue()
    assert bytes(KeptAnswer.objects.get(pk=lost.pk).answer) == lost.answer
    assert is_of_first_key(KeptAnswer.objects.get(key="2").answer)


WORKER = """
import django
django.setup()
from django.core.management import call_command
from svoykrug import rotation
rotation.ROWS_AT_ONCE = 10
call_command("rotate_secrets")
"""


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_killed_in_the_middle_it_goes_on_where_it_was(settings, monkeypatch):
    settings.ENCRYPTION_KEYS = ["old-key-of-the-test"]
    for number in range(25):
        an_answer(number)
    settings.ENCRYPTION_KEYS = ["new-key-of-the-test", "old-key-of-the-test"]
    database = urlsplit(django_settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "svoykrug.settings",
        "DATABASE_URL": urlunsplit(database),
        "REDIS_URL": django_settings.REDIS_URL,
        "CLICKHOUSE_URL": django_settings.CLICKHOUSE_URL,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "FAILPOINTS": "rotation-after-part",
    }

    worker = subprocess.run(
        [sys.executable, "-c", WORKER], cwd=django_settings.BASE_DIR, env=environment, check=False,
        capture_output=True,
    )  # fmt: skip
    done = [is_of_first_key(row.answer) for row in KeptAnswer.objects.order_by("pk")]
    monkeypatch.setattr(rotation, "ROWS_AT_ONCE", 10)
    lines = rotated()

    assert worker.returncode == KILLED, worker.stderr
    assert done == [True] * 10 + [False] * 15
    assert "idempotency_keys.answer: 25 rows, 15 renewed" in "\n".join(lines)
    settings.ENCRYPTION_KEYS = ["new-key-of-the-test"]
    assert sorted(decrypt(row.answer) for row in KeptAnswer.objects.all()) == sorted(
        f"body {number}" for number in range(25)
    )
