"""A connection that the server dropped is noticed before the next request, at most every few seconds."""

import time

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.transaction import atomic

from svoykrug.db.postgresql.base import HEALTHY_FOR_SECONDS

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def ask():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()


@pytest.fixture
def dropped_connection():
    """The test's connection, ended by the server behind its back, as a new request finds it."""
    ask()
    backend = connection.connection.info.backend_pid
    with psycopg.connect(
        connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])
    connection.health_check_enabled, connection.health_check_done = True, False
    yield
    connection.close()


def test_one_looked_after_long_ago_is_opened_anew(dropped_connection):
    connection._seen_healthy = time.monotonic() - HEALTHY_FOR_SECONDS

    assert ask() == (1,)


def test_one_looked_after_just_now_fails_once_and_is_opened_anew(dropped_connection):
    connection._seen_healthy = time.monotonic()

    with pytest.raises(OperationalError):
        ask()
    connection.close_if_unusable_or_obsolete()

    assert ask() == (1,)


def test_no_look_falls_into_the_end_of_a_transaction():
    ask()
    connection.health_check_enabled, connection.health_check_done = True, False
    connection._seen_healthy = time.monotonic()

    with atomic():
        ask()
        connection._seen_healthy = time.monotonic() - HEALTHY_FOR_SECONDS

    assert connection.get_autocommit()
