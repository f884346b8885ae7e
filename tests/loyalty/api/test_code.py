"""A member asks for the code to show at a till."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from loyalty.services import presence
from loyalty.services.api_keys import create_api_key
from loyalty.services.presence import member_of_code
from loyalty.services.sessions import open_session
from tests.api import Caller, refusal
from tests.receivers import no_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]


@pytest.fixture
def caller(member):
    return Caller(f"Bearer {open_session(member, at=timezone.now()).access}")


def test_code_is_the_members_and_told_with_its_end(caller, member):
    before = timezone.now()
    answer = caller.get("me/code")
    body = answer.json()

    assert set(body) == {"code", "expires_at", "seconds_left", "qr"}
    assert body["qr"] == f"SVOYKRUG:{body['code']}"
    assert member_of_code(body["qr"], till=uuid4(), at=timezone.now()) == member.pk
    lives = datetime.fromisoformat(body["expires_at"]) - before
    assert timedelta(seconds=60) <= lives < timedelta(seconds=65)
    assert body["seconds_left"] == 60
    assert answer["Cache-Control"] == "no-store"


def test_asked_again_the_code_is_the_same(caller):
    first, second = caller.get("me/code").json(), caller.get("me/code").json()

    assert (first["code"], first["expires_at"]) == (second["code"], second["expires_at"])


def test_only_a_member_has_a_code(business):
    assert refusal(Caller().get("me/code"))[:2] == (401, "not_authenticated")
    key = Caller(f"Api-Key {create_api_key(business=business)[1]}")
    assert refusal(key.get("me/code"))[:2] == (403, "permission_denied")


def test_store_away_is_said_plainly(caller, monkeypatch):
    monkeypatch.setattr(presence, "redis_client", no_redis)

    answer = caller.get("me/code")

    assert refusal(answer)[:2] == (503, "unavailable")
    assert answer["Retry-After"] == "1"
