"""Who calls too often is told when to come again; without Redis nobody is held back."""

import logging
import uuid

import pytest
import redis
from django.utils import timezone

from loyalty.errors import TooManyRequests
from loyalty.models import Transaction
from loyalty.services import throttling
from loyalty.services.api_keys import create_api_key
from loyalty.services.limits import MINUTE, Limit
from loyalty.services.sessions import open_session
from loyalty.services.throttling import Portions, check_rate
from tests.api import Caller, refusal
from tests.factories import NOON, MemberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes", "own_portions")]


@pytest.fixture
def own_portions(monkeypatch):
    monkeypatch.setattr(throttling, "_portions", Portions())


@pytest.fixture
def away(monkeypatch):
    """Redis does not answer; returns how often it was asked."""
    asked = []

    def client():
        asked.append(1)
        raise redis.ConnectionError("away")

    monkeypatch.setattr(throttling, "redis_client", client)
    return asked


def limit(most, subject="s"):
    return Limit("api:test", subject, most, MINUTE)


def passed(portions, most, calls, subject="s"):
    return sum(portions.take(limit(most, subject), NOON) for _ in range(calls))


@pytest.mark.parametrize("most", [0, 1, 7, 99])
def test_a_small_limit_is_exact_over_all_processes(most):
    processes = [Portions() for _ in range(4)]

    assert sum(passed(process, most, 40) for process in processes) == most


def test_a_large_limit_is_never_passed_and_costs_a_round_trip_in_a_hundredth(monkeypatch):
    asked = []
    real = throttling.redis_client
    monkeypatch.setattr(throttling, "redis_client", lambda: asked.append(1) or real())
    processes = [Portions(), Portions()]

    let_through = sum(process.take(limit(5_000), NOON) for _ in range(3_000) for process in processes)

    assert let_through == 5_000
    assert len(asked) == 100 + 1_000  # One for each portion, then one for each call refused.


def test_each_caller_and_minute_has_its_own():
    portions = Portions()
    later = NOON.replace(minute=1)

    assert [passed(portions, 2, 3, "a"), passed(portions, 2, 3, "b")] == [2, 2]
    assert portions.take(limit(2, "a"), later)


def test_the_refusal_says_when_the_minute_ends():
    with pytest.raises(TooManyRequests) as refused:
        check_rate(limit(0), at=NOON.replace(second=18))

    assert refused.value.retry_after == 42


def callers(business, member):
    key = f"Api-Key {create_api_key(business=business)[1]}"
    token = f"Bearer {open_session(member, at=timezone.now()).access}"
    return {
        "API_CALLS_PER_KEY": (key, "transactions"),
        "API_CALLS_PER_MEMBER": (token, "me"),
        "API_CALLS_PER_ADDRESS": ("", "auth/logout"),
    }


@pytest.mark.parametrize("name", ["API_CALLS_PER_KEY", "API_CALLS_PER_MEMBER", "API_CALLS_PER_ADDRESS"])
def test_each_kind_of_caller_is_limited_by_itself(name, business, member, settings):
    all_callers = callers(business, member)
    setattr(settings, name, 1)
    authorization, path = all_callers[name]
    caller = Caller(authorization)

    def call(caller, path):
        return caller.post(path, {"refresh": "x"}) if path == "auth/logout" else caller.get(path)

    answers = [call(caller, path) for _ in range(4)]  # Four, lest the minute ends between two.

    assert answers[0].status_code < 300
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refusal(refused[-1]) == (429, "throttled", [])
    assert 1 <= int(refused[-1]["Retry-After"]) <= 60
    others = [all_callers[other] for other in all_callers if other != name]
    assert all(call(Caller(who), where).status_code < 300 for who, where in others)


def test_a_purchase_beyond_the_limit_is_not_recorded(business, member, settings):
    settings.API_CALLS_PER_KEY = 0
    till = Caller(f"Api-Key {create_api_key(business=business)[1]}")
    body = {"external_id": "1", "member": {"phone": member.phone}, "amount": "100.00"}

    assert till.post("transactions", body).status_code == 429
    assert not Transaction.objects.exists()


def test_without_redis_calls_go_on_and_the_log_says_so_once(business, settings, away, caplog):
    settings.API_CALLS_PER_KEY = 1
    till = Caller(f"Api-Key {create_api_key(business=business)[1]}")

    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            body = {
                "external_id": uuid.uuid4().hex, "member": {"phone": MemberFactory().phone}, "amount": "1.00",
            }  # fmt: skip
            assert till.post("transactions", body).status_code == 201

    assert len(away) == 1
    said = [record.getMessage() for record in caplog.records if "not limited" in record.getMessage()]
    assert said == ["Redis is away (away): calls of the API are not limited"]
