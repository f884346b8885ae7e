"""A call that is repeated with its Idempotency-Key is done once and answered alike."""

import copy
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from loyalty.models import KeptAnswer, Member, Session, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from loyalty.tasks import forget_answers
from promos.models import Quote
from tests.api import JOINING, Caller, refusal
from tests.factories import BusinessFactory, MemberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79161234217"
KEY = "Idempotency-Key"


@pytest.fixture
def till(business):
    return Caller(f"Api-Key {create_api_key(business=business)[1]}")


@pytest.fixture
def body(member):
    """A purchase that fills every field which may stand beside the others."""
    return {
        "external_id": "r-1",
        "member": {"phone": member.phone},
        "amount": "1000.00",
        "category": "cafe",
        "lines": [
            {"sku": "1", "name": "tea", "category": "drinks", "quantity": "2.000", "amount": "400.00"},
            {"sku": "2", "name": "pie", "category": "food", "quantity": "1.000", "amount": "600.00"},
        ],
        "redeem": "0.00",
        "purchased_at": "2026-11-01T12:00:00+03:00",
    }


def test_a_repeat_gets_the_first_answer_and_says_so(till, body):
    answers = [till.post("transactions", body, **{KEY: "k1"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true", "true"]
    assert len({answer.content for answer in answers}) == 1
    assert {answer["Content-Type"] for answer in answers} == {"application/json"}
    assert Transaction.objects.count() == 1


def test_a_quote_is_made_once(till, member):
    asked = {"member": {"phone": member.phone}, "amount": "100.00", "hold": True}

    ids = {till.post("quotes", asked, **{KEY: "q"}).json()["id"] for _ in range(2)}

    assert ids == {str(Quote.objects.get().pk)}


def test_an_empty_answer_is_repeated_empty(till, member):
    quote = till.post("quotes", {"member": {"phone": member.phone}, "amount": "100.00"}).json()["id"]

    answers = [till.delete(f"quotes/{quote}", **{KEY: "d"}) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    assert answers[1]["Idempotent-Replayed"] == "true"


def leaves(value, path=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner:
        yield path
    for name, each in inner:
        yield from leaves(each, (*path, name))


def test_every_value_that_changes_is_named_and_nothing_is_done(till, body):
    till.post("transactions", body, **{KEY: "k1"})

    for path in leaves(body):
        changed = copy.deepcopy(body)
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = f"{place[path[-1]]}7"

        answer = till.post("transactions", changed, **{KEY: "k1"})

        dotted = ".".join(map(str, path))
        assert refusal(answer) == (422, "idempotency_key_reused", [(dotted, "idempotency_key_reused")])
    assert len(list(leaves(body))) == 16
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize("name", ["category", "lines", "redeem", "purchased_at", "member"])
def test_a_field_left_out_is_named(till, body, name):
    till.post("transactions", body, **{KEY: "k1"})

    answer = till.post("transactions", {k: v for k, v in body.items() if k != name}, **{KEY: "k1"})

    assert refusal(answer)[:2] == (422, "idempotency_key_reused")
    assert {error["field"].split(".")[0] for error in answer.json()["errors"]} == {name}


def test_a_long_body_names_the_field_of_its_top(till, member):
    rows = [
        {"external_id": f"b{n}", "member": {"phone": member.phone}, "amount": "10.00"} for n in range(200)
    ]
    first = till.post("transactions/batch", {"transactions": rows}, **{KEY: "b"})
    rows[150]["amount"] = "11.00"

    answer = till.post("transactions/batch", {"transactions": rows}, **{KEY: "b"})

    assert first.json()["created"] == 200
    assert refusal(answer) == (
        422, "idempotency_key_reused", [("transactions", "idempotency_key_reused")],
    )  # fmt: skip


def test_spaces_and_the_order_of_names_are_no_other_content(till, body):
    till.post("transactions", body, **{KEY: "k1"})

    answer = till.post("transactions", json.dumps(dict(reversed(body.items())), indent=2), **{KEY: "k1"})

    assert (answer.status_code, answer["Idempotent-Replayed"]) == (201, "true")


def test_another_call_with_the_key_is_refused(till, body, member):
    till.post("transactions", body, **{KEY: "k1"})

    answer = till.post("quotes", {"member": {"phone": member.phone}, "amount": "1.00"}, **{KEY: "k1"})

    assert refusal(answer) == (
        422, "idempotency_key_reused", [("Idempotency-Key", "idempotency_key_reused")],
    )  # fmt: skip
    assert not Quote.objects.exists()


def test_a_key_is_its_callers_own(till, body):
    other = Caller(f"Api-Key {create_api_key(business=BusinessFactory())[1]}")

    answers = [caller.post("transactions", body, **{KEY: "k1"}) for caller in (till, other)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1].headers.get("Idempotent-Replayed") is None
    assert Transaction.objects.count() == 2


def test_a_refusal_is_not_kept(till, body):
    assert till.post("transactions", body | {"amount": "0"}, **{KEY: "k1"}).status_code == 400

    answer = till.post("transactions", body, **{KEY: "k1"})

    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)


def test_after_a_day_the_key_is_free_and_its_answer_forgotten(till, body):
    till.post("transactions", body, **{KEY: "k1"})
    till.post("transactions", body | {"external_id": "r-2"}, **{KEY: "k2"})
    KeptAnswer.objects.filter(key="k1").update(created_at=timezone.now() - timedelta(hours=24))

    answer = till.post("transactions", body | {"external_id": "r-3"}, **{KEY: "k1"})
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)

    KeptAnswer.objects.filter(key="k1").update(created_at=timezone.now() - timedelta(hours=24))
    assert [forget_answers(), forget_answers()] == [1, 0]
    assert KeptAnswer.objects.get().key == "k2"


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb"])
def test_what_is_no_key_is_refused(till, body, key):
    answer = till.post("transactions", body, **{KEY: key})

    assert refusal(answer) == (400, "invalid", [("Idempotency-Key", "invalid")])
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("raw", [b"{", b"[" * 900 + b"]" * 900, b'{"a":"\\ud800"}', b"null", b"[]"])
def test_a_body_that_cannot_be_read_is_the_callers_fault(till, raw):
    assert till.post("transactions", raw, **{KEY: "k1"}).status_code == 400


def test_tokens_are_given_again_and_lie_nowhere_in_clear(sent_code):
    anyone = Caller()
    anyone.post("auth/otp", {"phone": PHONE})
    code = sent_code(PHONE)

    body = {"phone": PHONE, "code": code} | JOINING
    answers = [anyone.post("auth/token", body, **{KEY: "t"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert (Member.objects.count(), Session.objects.count()) == (1, 1)
    kept = KeptAnswer.objects.get()
    stored = f"{kept.fields} {kept.headers} {bytes(kept.answer)!r}"
    assert [word for word in (*answers[0].json().values(), PHONE, code) if str(word) in stored] == []


def test_an_answer_that_cannot_be_decrypted_is_not_done_again(till, body, settings):
    till.post("transactions", body, **{KEY: "k1"})
    settings.ENCRYPTION_KEYS = ["another"]

    assert refusal(till.post("transactions", body, **{KEY: "k1"}))[:2] == (503, "unavailable")


def test_what_a_refusal_leaves_on_purpose_stays(member):
    at = timezone.now() - timedelta(minutes=1)
    tokens = open_session(member, at=at)
    anyone = Caller()
    anyone.post("auth/token/refresh", {"refresh": tokens.refresh})
    Session.objects.exclude(rotated_at=None).update(rotated_at=at)

    answer = anyone.post("auth/token/refresh", {"refresh": tokens.refresh}, **{KEY: "r"})

    assert answer.status_code == 401
    assert not Session.objects.filter(revoked_at=None).exists()


def test_without_the_header_nothing_is_asked_or_kept(till, body):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert till.post("transactions", body).status_code == 201

    assert [query for query in asked.captured_queries if "idempotency" in query["sql"]] == []
    assert not KeptAnswer.objects.exists()


def test_a_member_repeats_too(member):
    caller = Caller(f"Bearer {open_session(MemberFactory(), at=timezone.now()).access}")

    answer = caller.post("transactions", {}, **{KEY: "m"})

    assert refusal(answer)[:2] == (403, "permission_denied")
    assert not KeptAnswer.objects.exists()
