"""The admin asks for a code after the password: of an authenticator, or one kept for a bad day."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from loyalty.errors import CodeRefused, TooManyRequests
from loyalty.models import AuditLog, SecondFactor
from loyalty.services.second_factor import enrol, let_in, secret_to_enrol, undo
from loyalty.totp import code_at, in_base32, step_of
from tests.factories import NOON, MemberFactory, StaffFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PASSWORD = "a long enough word"


@pytest.fixture
def person(db):
    member = StaffFactory().member
    member.set_password(PASSWORD)
    member.save()
    return member


@pytest.fixture
def enrolled(person):
    """A person whose authenticator counts since NOON; returns (person, secret, recovery codes)."""
    secret = secret_to_enrol(person)
    return person, secret, enrol(person, code_at(secret, step_of(NOON)), at=NOON)


def by_password(member):
    client = Client(headers={"Accept-Language": "en"})
    client.post("/admin/login/", {"username": member.phone, "password": PASSWORD})
    return client


def code_now(secret):
    return code_at(secret, step_of(timezone.now()))


# --- The service --------------------------------------------------------------------------------------


def test_each_code_lets_in_once(enrolled):
    person, secret, _codes = enrolled
    later = NOON + timedelta(minutes=1)
    code = code_at(secret, step_of(later))

    let_in(person, code, at=later)

    with pytest.raises(CodeRefused):
        let_in(person, code, at=later)


def test_each_recovery_code_lets_in_once_and_is_read_as_it_is_typed(enrolled):
    person, _secret, codes = enrolled
    assert len({*codes}) == 10

    let_in(person, f" {codes[3][:5].upper()}-{codes[3][5:]} ", at=NOON)

    with pytest.raises(CodeRefused):
        let_in(person, codes[3], at=NOON)
    let_in(person, codes[4], at=NOON)


def test_anothers_codes_let_nobody_in(enrolled):
    _person, secret, codes = enrolled
    other = StaffFactory().member
    enrol(other, code_at(secret_to_enrol(other), step_of(NOON)), at=NOON)

    for code in (code_at(secret, step_of(NOON) + 1), codes[0]):
        with pytest.raises(CodeRefused):
            let_in(other, code, at=NOON)


def test_guessing_ends_after_five_tries(enrolled):
    person, secret, _codes = enrolled
    for _ in range(4):  # Enrolling was the first.
        with pytest.raises(CodeRefused):
            let_in(person, "000000", at=NOON)

    later = NOON + timedelta(seconds=30)
    with pytest.raises(TooManyRequests):
        let_in(person, code_at(secret, step_of(later)), at=later)


def test_a_wrong_first_code_enrols_nobody(person):
    secret = secret_to_enrol(person)

    with pytest.raises(CodeRefused):
        enrol(person, "000000", at=NOON)

    assert secret_to_enrol(person) == secret
    person.refresh_from_db()
    assert person.second_factor_at is None


def test_the_database_and_its_journal_hold_nothing_usable(enrolled):
    _person, secret, codes = enrolled
    with connection.cursor() as cursor:
        cursor.execute("SELECT f::text FROM second_factors f UNION ALL SELECT a::text FROM audit_logs a")
        stored = " ".join(text for (text,) in cursor.fetchall())

    words = [*codes, in_base32(secret), secret.hex()]
    assert [word for word in words if word in stored] == []
    assert AuditLog.objects.filter(table_name="second_factors").exists()


def test_a_secret_whose_key_is_gone_lets_nobody_in(enrolled, settings):
    person, secret, _codes = enrolled
    settings.ENCRYPTION_KEYS = ["another"]

    with pytest.raises(CodeRefused):
        let_in(person, code_at(secret, step_of(NOON) + 1), at=NOON)


def test_undoing_ends_it_and_may_be_repeated(enrolled):
    person, _secret, codes = enrolled

    assert [undo(person), undo(person)] == [True, False]

    assert not SecondFactor.objects.exists()
    with pytest.raises(CodeRefused):
        let_in(person, codes[0], at=NOON)


# --- The pages ----------------------------------------------------------------------------------------


def test_whoever_enrolled_sees_nothing_before_the_second_step(enrolled):
    person, secret, _codes = enrolled
    client = by_password(person)

    for path in ("/admin/", "/admin/loyalty/transaction/", "/admin/reports/rfm/", "/admin/no/such/page/"):
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/second-factor/?next={path}")
    assert client.post("/admin/loyalty/transaction/", {}).status_code == 302

    wrong = client.post("/admin/second-factor/", {"code": "000000"})
    assert (wrong.status_code, b"did not fit" in wrong.content) == (200, True)
    passed = client.post("/admin/second-factor/", {"code": code_now(secret), "next": "/admin/loyalty/"})

    assert (passed.status_code, passed["Location"]) == (302, "/admin/loyalty/")
    assert client.get("/admin/").status_code == 200
    assert by_password(person).get("/admin/").status_code == 302


def test_the_step_leads_to_no_foreign_place(enrolled):
    person, secret, _codes = enrolled

    passed = by_password(person).post(
        "/admin/second-factor/", {"code": code_now(secret), "next": "https://evil.example/"}
    )

    assert passed["Location"] == "/admin/"


def test_a_person_enrols_by_the_pages_and_other_sessions_end(person):
    here, elsewhere = by_password(person), by_password(person)
    assert elsewhere.get("/admin/").status_code == 200

    page = here.get("/admin/second-factor/set-up/")
    shown = re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", page.content.decode())[1].replace(" ", "")
    secret = secret_to_enrol(person)
    assert shown == in_base32(secret)
    assert b"<svg" in page.content

    done = here.post("/admin/second-factor/set-up/", {"code": code_now(secret)})

    codes = re.findall(r"<li><code>([0-9a-z]{10})</code></li>", done.content.decode())
    assert (len(codes), done["Cache-Control"].startswith("max-age=0")) == (10, True)
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/")["Location"].startswith("/admin/login/")
    # The secret is shown no more.
    assert b"<svg" not in here.get("/admin/second-factor/set-up/").content
    again = by_password(person)
    assert again.post("/admin/second-factor/", {"code": codes[0]}).status_code == 302
    assert again.get("/admin/").status_code == 200


def test_where_it_is_demanded_nobody_enters_without_one(person, settings):
    settings.STAFF_SECOND_FACTOR_REQUIRED = True
    client = by_password(person)

    assert client.get("/admin/")["Location"] == "/admin/second-factor/set-up/?next=/admin/"
    client.post("/admin/second-factor/set-up/", {"code": code_now(secret_to_enrol(person))})

    assert client.get("/admin/").status_code == 200


def test_where_it_is_not_demanded_the_password_is_enough(person):
    answer = by_password(person).get("/admin/")

    assert answer.status_code == 200
    # It is offered in the person's own menu.
    assert b'href="/admin/second-factor/set-up/"' in answer.content


@pytest.mark.parametrize("path", ["/admin/second-factor/", "/admin/second-factor/set-up/"])
def test_its_pages_are_staffs_alone(path, settings):
    settings.STAFF_SECOND_FACTOR_REQUIRED = True
    member, by_phone = Client(), Client()
    member.force_login(MemberFactory())
    by_phone.force_login(StaffFactory().member, backend="loyalty.backends.PhoneCodeBackend")

    for client in (Client(), member, by_phone):
        assert client.get(path)["Location"].startswith("/admin/login/")
        assert client.post(path, {"code": "000000"})["Location"].startswith("/admin/login/")
    assert not SecondFactor.objects.exists()


def test_signing_out_is_possible_before_the_second_step(enrolled):
    client = by_password(enrolled[0])

    client.post("/admin/logout/")

    assert client.get("/admin/second-factor/")["Location"].startswith("/admin/login/")


def test_an_operator_takes_it_off(enrolled):
    person, _secret, _codes = enrolled

    said = StringIO()
    call_command("undo_second_factor", person.phone, stdout=said)
    call_command("undo_second_factor", person.phone, stdout=said)

    assert said.getvalue().splitlines() == ["The second step is off.", "There was no second step."]
    assert by_password(person).get("/admin/").status_code == 200
    for phone in ("12", "+79169999999", MemberFactory().phone):
        with pytest.raises(CommandError):
            call_command("undo_second_factor", phone)
