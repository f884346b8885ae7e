"""A till finds a member by the code they show, and has a code sent to those who cannot show one."""

import pytest
from django.utils import timezone

from loyalty.models import ApiKey, Transaction
from loyalty.services.api_keys import create_api_key
from loyalty.services.presence import issue_code, member_of_code, receipt_name, spend_code
from tests.api import Caller, refusal
from tests.factories import MemberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PHONE = "+79161234217"


@pytest.fixture
def anna():
    return MemberFactory(phone=PHONE)


def shown_by(member):
    return issue_code(member.pk, at=timezone.now()).code


def other_than(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


def purchase(code, external_id="1001", **more):
    return {"external_id": external_id, "member": {"code": code}, "amount": "1000.00", **more}


@pytest.mark.parametrize("spelling", ["{}", "SVOYKRUG:{}"])
def test_member_is_found_by_the_code_which_stays_unspent(till, anna, spelling):
    code = shown_by(anna)
    for _time in range(2):
        assert till.get("members/lookup", code=spelling.format(code)).json()["id"] == str(anna.pk)

    spend_code(code, anna.pk, receipt="1", at=timezone.now())


def test_spent_code_finds_nobody(till, anna):
    code = shown_by(anna)
    spend_code(code, anna.pk, receipt="1", at=timezone.now())

    answer = till.get("members/lookup", code=code)
    assert refusal(answer) == (403, "presence_code_invalid", [("member", "presence_code_invalid")])


def test_five_wrong_codes_lock_the_key_for_codes_only(till, anna, business):
    code = shown_by(anna)
    for _try in range(4):
        answer = till.get("members/lookup", code=other_than(code))
        assert refusal(answer)[:2] == (403, "presence_code_invalid")
        assert "Retry-After" not in answer

    assert till.get("members/lookup", code=other_than(code))["Retry-After"] == "900"
    locked = till.get("members/lookup", code=code)

    assert refusal(locked)[:2] == (403, "presence_code_invalid")
    assert 890 < int(locked["Retry-After"]) <= 900
    assert "15 minutes" in locked.json()["detail"]
    assert till.get("members/lookup", phone=PHONE).status_code == 200
    other_key = Caller(f"Api-Key {create_api_key(business=business)[1]}")
    assert other_key.get("members/lookup", code=code).status_code == 200


def test_code_of_a_member_who_left_finds_nobody(till, anna):
    code = shown_by(anna)
    anna.anonymised_at = timezone.now()
    anna.save()

    assert refusal(till.get("members/lookup", code=code))[:2] == (404, "member_not_found")


def test_purchase_names_its_member_by_the_code(till, anna):
    answer = till.post("transactions", purchase(shown_by(anna)))

    assert answer.status_code == 201
    assert answer.json()["member"] == str(anna.pk)


def test_recorded_purchase_is_repeated_when_its_code_has_long_run_out(till, anna, settings):
    code = shown_by(anna)
    first = till.post("transactions", purchase(code))
    settings.SECRET_KEY += "-the store knows the code no more"

    again = till.post("transactions", purchase(code))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


def test_wrong_code_records_nothing(till, anna):
    answer = till.post("transactions", purchase(other_than(shown_by(anna))))

    assert refusal(answer)[:2] == (403, "presence_code_invalid")
    assert not Transaction.objects.exists()


def test_repeat_after_a_crash_may_use_the_code_it_spent(till, anna, business):
    code = shown_by(anna)
    spend_code(code, anna.pk, receipt=receipt_name(business.pk, "1001"), at=timezone.now())

    assert refusal(till.post("transactions", purchase(code, "1002")))[:2] == (403, "presence_code_invalid")
    assert till.post("transactions", purchase(code, "1001")).status_code == 201


def test_a_batch_knows_no_codes(till, anna):
    results = till.post("transactions/batch", [purchase(shown_by(anna))]).json()["results"]

    assert [(row["status"], row["code"]) for row in results] == [("rejected", "invalid")]
    assert "member.code" in results[0]["detail"]


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ({"phone": PHONE, "code": "123456"}, [("", "one_of")]),
        ({"card": "1", "code": "123456"}, [("", "one_of")]),
        ({"code": ""}, [("code", "blank")]),
        ({"code": "1" * 33}, [("code", "max_length")]),
    ],
)
def test_odd_lookups_are_refused(till, query, errors):
    assert refusal(till.get("members/lookup", **query)) == (400, "invalid", errors)


# --- A code sent to the phone ------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["phone", "card"])
def test_code_is_sent_to_the_members_phone(till, anna, told_code, by):
    reference = {"phone": PHONE} if by == "phone" else {"card": anna.card_number}
    answer = till.post("members/presence-code", {"member": reference})

    assert (answer.status_code, answer.json()) == (202, {"expires_in": 300})
    key = ApiKey.objects.get()
    assert member_of_code(told_code(PHONE), till=key.pk, at=timezone.now()) == anna.pk


@pytest.mark.parametrize("reference", [{"phone": "+79169999999"}, {"card": "none"}])
def test_unknown_member_is_answered_alike(till, anna, reference, caplog):
    known = [till.post("members/presence-code", {"member": {"phone": PHONE}}) for _time in range(6)]
    caplog.clear()
    unknown = [till.post("members/presence-code", {"member": reference}) for _time in range(6)]

    assert [answer.status_code for answer in known] == [202] * 5 + [429]
    assert [answer.status_code for answer in unknown] == [202] * 5 + [429]
    assert known[0].content == unknown[0].content
    assert not [record for record in caplog.records if record.name == "svoykrug.codes"]


def test_sending_needs_the_scope_of_purchases(business, anna, caplog):
    reader = Caller(f"Api-Key {create_api_key(business=business, scopes=[ApiKey.Scope.MEMBERS_READ])[1]}")

    answer = reader.post("members/presence-code", {"member": {"phone": PHONE}})

    assert refusal(answer)[:2] == (403, "permission_denied")
    assert not [record for record in caplog.records if record.name == "svoykrug.codes"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("member", "required")]),
        ({"member": {}}, [("member", "one_of")]),
        ({"member": {"code": "123456"}}, [("member.code", "unknown_field")]),
        ({"member": {"phone": "1"}}, [("member.phone", "invalid")]),
    ],
)
def test_odd_requests_are_refused(till, body, errors):
    assert refusal(till.post("members/presence-code", body)) == (400, "invalid", errors)
