"""No request ends in anything but an answer or a problem document."""

import psycopg
import pytest
from django.db import DataError, OperationalError
from django.db.models import QuerySet

from promos.errors import ChainInvalid
from promos.models import Offer
from promos.offers.rules import RuleFaults
from promos.services.offers import Terms, save_draft
from svoykrug.errors import DomainError
from svoykrug.problems import exception_handler
from tests.api import Caller, refusal
from tests.factories import BusinessFactory

pytestmark = pytest.mark.django_db
anyone = Caller()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"{", "broken"),
        (b'{"phone": "1",}', "comma"),
        (b"'phone'", "quotes"),
        (b'{"phone": "\xff"}', "broken UTF-8"),
        ('{"phone": "1"}'.encode("utf-16"), "UTF-16"),
        (b'{"phone": "1", "phone": "2"}', "a name twice"),
        (b"[" * 100_000, "deep list"),
        (b'{"a":' * 100_000, "deep object"),
        (b"9" * 10_000, "long number"),
        (b'{"phone": NaN}', "NaN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_json_is_refused(raw, why):
    assert refusal(anyone.post("auth/otp", raw))[:2] == (400, "invalid")


def test_byte_order_mark_of_a_windows_till_is_read_over():
    answer = anyone.post("auth/otp", b"\xef\xbb\xbf" + b'{"phone": "12"}')

    assert refusal(answer) == (400, "invalid", [("phone", "invalid")])


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=windows-1251", "application/json; charset=nonsense", "text/plain",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "nonsense",
    ],
)  # fmt: skip
def test_other_formats_and_charsets_are_refused(content_type):
    answer = anyone.post("auth/otp", b'{"phone": "12"}', content_type=content_type)

    assert refusal(answer) == (415, "unsupported_media_type", [])


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", 'application/json; charset="utf8"']
)
def test_utf8_may_be_named(content_type):
    answer = anyone.post("auth/otp", b'{"phone": "12"}', content_type=content_type)

    assert refusal(answer) == (400, "invalid", [("phone", "invalid")])


def test_too_large_a_body_is_refused(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20

    assert refusal(anyone.post("auth/otp", {"phone": "+79161234217"})) == (413, "too_large", [])


def test_other_methods_are_refused():
    answer = anyone.client.delete("/api/v1/auth/otp")

    assert refusal(answer) == (405, "method_not_allowed", [])
    assert answer["Allow"] == "POST, OPTIONS"


def test_other_formats_cannot_be_answered():
    answer = anyone.post("auth/otp", {}, Accept="text/html")

    assert refusal(answer) == (406, "not_acceptable", [])


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/", "/api", "/api/v1/transactions/x", "/api/v1/auth/otp/", "/api/v2/me"]
)
def test_unknown_addresses_are_problems(settings, path, debug):
    settings.DEBUG = debug

    assert refusal(anyone.client.get(path)) == (404, "not_found", [])
    assert refusal(anyone.client.post(path, b"{}", content_type="application/json"))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("till-7.receipt_1001", True), ("short", False), ("x" * 65, False), ("with spaces in it", False)],
)
def test_sane_request_id_is_kept(given, kept):
    answer = anyone.post("auth/otp", {}, **{"X-Request-Id": given})

    assert (answer["X-Request-Id"] == given) == kept
    refusal(answer)  # the document names the same id


def test_problem_is_in_the_callers_language():
    details = [
        anyone.post("auth/otp", b"{", **{"Accept-Language": language}).json()["title"]
        for language in ("en", "ru")
    ]

    assert details == ["The request is not valid", "Запрос неверен"]


def handled(error):
    return exception_handler(error, {"request": None, "view": None})


def caused_by(cause):
    error = OperationalError("why")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.QueryCanceled(),
        psycopg.errors.ConnectionTimeout(),
        None,
    ],
)
def test_busy_database_asks_to_come_again(cause):
    answer = handled(caused_by(cause))

    assert (answer.status_code, answer.data["code"], answer["Retry-After"]) == (503, "unavailable", "1")


def test_lock_held_too_long_answers_503(monkeypatch):
    def wait_in_vain(_self):
        raise caused_by(psycopg.errors.LockNotAvailable())

    monkeypatch.setattr(QuerySet, "first", wait_in_vain)

    answer = anyone.post("auth/token/refresh", {"refresh": "x"})

    assert refusal(answer) == (503, "unavailable", [])
    assert answer["Retry-After"] == "1"


def test_value_that_only_the_database_refuses_is_no_error_of_ours():
    answer = handled(DataError("out of range"))

    assert (answer.status_code, answer.data["code"]) == (400, "invalid")


def test_domain_error_carries_its_code_field_and_detail():
    class Refused(DomainError):
        code, status = "refused_for_a_test", 409

    answer = handled(Refused("No.", field="amount"))

    assert (answer.status_code, answer.data["code"], answer.data["title"]) == (
        409, "refused_for_a_test", "Conflict",
    )  # fmt: skip
    assert answer.data["errors"] == [{"field": "amount", "code": "refused_for_a_test", "detail": "No."}]


def test_what_nobody_foresaw_is_an_error_without_its_inside(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("loyalty.api.auth.close_session", broken)

    answer = anyone.post("auth/logout", {"refresh": "x"})

    assert refusal(answer) == (500, "internal_error", [])
    assert b"secret" not in answer.content


def test_a_refusal_of_several_fields_says_of_each_what_is_wrong_with_it(rf):
    terms = Terms(
        "",
        {"weekdays": [9], "from": "2030-06-02T00:00:00Z", "until": "2030-06-01T00:00:00Z"},
        {"kind": "percent", "value": "101"},
    )
    with pytest.raises(RuleFaults) as refused:
        save_draft(terms, business=BusinessFactory())

    answer = exception_handler(refused.value, {"request": rf.get("/")})

    assert answer is not None
    assert (answer.status_code, answer.data["code"]) == (400, "invalid")
    assert [error["field"] for error in answer.data["errors"]] == [
        "conditions.until", "conditions.weekdays.0", "effect.value", "title",
    ]  # fmt: skip
    words = [error["detail"] for error in answer.data["errors"]]
    assert len(set(words)) == len(words)
    assert not Offer.objects.exists()


def test_a_chains_refusal_says_of_each_term_what_is_wrong_with_it(rf):
    found = {"coupon_value": "Above 0 roubles.", "delay_hours": "At most ninety days."}
    error = ChainInvalid("Above 0 roubles.", field="coupon_value", fields=found)

    answer = exception_handler(error, {"request": rf.get("/")})

    assert answer is not None
    assert {each["field"]: each["detail"] for each in answer.data["errors"]} == found
