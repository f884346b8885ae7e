"""Many clients send one call with one Idempotency-Key: it is done once."""

import pytest

from loyalty.services import idempotency
from loyalty.services.api_keys import create_api_key
from promos.models import Quote
from tests.api import Caller
from tests.factories import BusinessFactory, MemberFactory
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
CLIENTS, ROUNDS = 50, at_length(briefly=3, full=200)


@pytest.fixture
def race(at_once):
    """Return what many clients are answered who make the same quote at once."""
    secret = create_api_key(business=BusinessFactory())[1]
    asked = {"member": {"phone": MemberFactory().phone}, "amount": "100.00"}

    def run(number, clients):
        callers = [Caller(f"Api-Key {secret}") for _ in range(clients)]
        send = [
            lambda caller=caller: caller.post("quotes", asked, **{"Idempotency-Key": f"k{number}"})
            for caller in callers
        ]
        return at_once(*send)

    return run


def test_fifty_clients_make_one_quote_a_round(race, proved):
    for number in range(ROUNDS):
        answers = race(number, CLIENTS)

        statuses = [answer.status_code for answer in answers]
        done = [answer for answer in answers if answer.status_code == 201]
        first = [answer for answer in done if "Idempotent-Replayed" not in answer.headers]
        busy = [answer for answer in answers if answer.status_code == 409]
        assert {*statuses} <= {201, 409}
        assert len(first) == 1
        assert len({answer.content for answer in done}) == 1
        assert {(answer.json()["code"], answer["Retry-After"]) for answer in busy} <= {("in_progress", "1")}
        assert Quote.objects.count() == number + 1
    proved(f"{ROUNDS} rounds of {CLIENTS} clients")


def test_without_the_lock_several_quotes_are_made(race, monkeypatch):
    # The parameter stays, so that the statement takes the same values.
    monkeypatch.setattr(idempotency, "LOCK", "SELECT %s::text IS NOT NULL")
    firsts = []
    for number in range(5):  # Threads need not meet the first time.
        answers = [answer for answer in race(number, 8) if answer.status_code == 201]
        firsts.append(len([answer for answer in answers if "Idempotent-Replayed" not in answer.headers]))

    assert max(firsts) > 1
