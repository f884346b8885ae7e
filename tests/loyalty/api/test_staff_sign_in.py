"""Staff sign in to the API by phone, password and a second factor; what it opens ends with either."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from loyalty.models import Business, StaffMembership
from loyalty.services import staff_sign_in
from loyalty.services.second_factor import enrol, secret_to_enrol, undo
from loyalty.services.sessions import open_session
from loyalty.totp import code_at, step_of
from tests.api import Caller, refusal
from tests.factories import MemberFactory, StaffFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PASSWORD = "a long enough word"
Role = StaffMembership.Role


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def owner():
    """An owner with a password, whose authenticator counts; `secret` and `recovery` are its codes."""
    member = StaffFactory().member
    member.set_password(PASSWORD)
    member.save()
    member.secret = secret_to_enrol(member)
    earlier = timezone.now() - timedelta(minutes=5)
    member.recovery = enrol(member, code_at(member.secret, step_of(earlier)), at=earlier)
    return member


def code_of(member):
    return code_at(member.secret, step_of(timezone.now()))


def sign_in(member, **other):
    said = {"phone": member.phone, "password": PASSWORD, "code": ""} | other
    return Caller().post("auth/token", {**said, "code": said["code"] or code_of(member)})


def bearer(tokens):
    return Caller(f"Bearer {tokens['access']}")


def test_password_and_code_open_the_reports_of_ones_own(owner, clickhouse_database):
    answer = sign_in(owner)

    assert answer.status_code == 200, answer.content
    assert answer.json()["is_new"] is False
    assert bearer(answer.json()).get("analytics/summary").status_code == 200
    assert bearer(answer.json()).get("me").json()["id"] == str(owner.pk)


def test_a_recovery_code_does_too_and_once(owner):
    assert sign_in(owner, code=owner.recovery[0]).status_code == 200
    assert sign_in(owner, code=owner.recovery[0]).status_code == 401


def test_whatever_is_wrong_the_refusal_is_the_same(owner):
    stranger = MemberFactory()
    used = code_of(owner)
    assert sign_in(owner, code=used).status_code == 200

    wrong = [
        sign_in(owner, phone="+79160000000", code="123456"),
        sign_in(owner, phone=stranger.phone, code="123456"),
        sign_in(owner, password="another long word", code="123456"),
        sign_in(owner, code=used),
    ]

    assert {refusal(answer)[:2] for answer in wrong} == {(401, "not_authenticated")}
    assert len({answer.json()["detail"] for answer in wrong}) == 1


def test_the_code_sent_to_the_phone_is_no_second_factor(owner, sent_code):
    Caller().post("auth/otp", {"phone": owner.phone})

    assert refusal(sign_in(owner, code=sent_code(owner.phone)))[0] == 401


def test_without_a_second_factor_one_is_sent_to_set_it_up(owner):
    undo(owner)

    answer = sign_in(owner, code="123456")

    assert refusal(answer)[0] == 401
    assert "set up the second step" in answer.json()["detail"]


def test_staff_join_by_nobodys_invitation(owner):
    answer = sign_in(owner, referral_code="ABCD2345", consents={"processing": True})

    assert refusal(answer) == (400, "invalid", [("consents", "invalid"), ("referral_code", "invalid")])


@pytest.mark.parametrize("kind", ["phone", "address"])
def test_passwords_are_not_tried_for_ever(owner, settings, kind):
    settings.PASSWORD_TRIES_PER_PHONE, settings.PASSWORD_TRIES_PER_ADDRESS = (
        (3, 100) if kind == "phone" else (100, 3)
    )
    phones = [owner.phone] * 3 if kind == "phone" else ["+79160000001", "+79160000002", "+79160000003"]
    for phone in phones:
        assert sign_in(owner, phone=phone, password="a guess", code="123456").status_code == 401

    answer = sign_in(owner)

    assert refusal(answer)[:2] == (429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 3600


def test_the_admin_counts_the_same_tries(owner, settings):
    settings.PASSWORD_TRIES_PER_PHONE = 2
    typed = owner.phone.replace("+7", "8")
    browser = Client(headers={"Accept-Language": "en"})
    for guess in ("one", "two"):
        assert "Too many tries" not in enter(browser, owner.phone, guess).content.decode()

    assert "Too many tries" in enter(browser, owner.phone, PASSWORD).content.decode()
    assert "_auth_user_id" not in browser.session
    assert refusal(sign_in(owner, phone=typed))[0] == 429


def enter(browser, phone, password):
    return browser.post("/admin/login/", {"username": phone, "password": password})


def test_without_the_counters_nobody_is_let_in(owner, monkeypatch):
    def away(_limits, _at):
        raise staff_sign_in.redis.ConnectionError

    monkeypatch.setattr(staff_sign_in, "count", away)

    assert refusal(sign_in(owner))[:2] == (503, "unavailable")
    assert "_auth_user_id" not in signed_in_browser(owner).session


def signed_in_browser(owner):
    browser = Client()
    enter(browser, owner.phone, PASSWORD)
    return browser


# --- How long it lasts ------------------------------------------------------------------------------------


def new_password(owner):
    owner.set_password("quite another word")
    owner.save()


def no_staff_any_more(owner):
    owner.is_staff = False
    owner.save()


@pytest.mark.parametrize("change", [new_password, undo, no_staff_any_more])
def test_it_ends_with_the_password_the_factor_or_the_post(owner, change, clickhouse_database):
    first = sign_in(owner).json()
    tokens = Caller().post("auth/token/refresh", {"refresh": first["refresh"]}).json()
    assert bearer(tokens).get("analytics/summary").status_code == 200

    change(owner)

    assert refusal(bearer(tokens).get("analytics/summary"))[:2] == (403, "permission_denied")
    answer = Caller().post("auth/token/refresh", {"refresh": tokens["refresh"]})
    assert refusal(answer)[:2] == (401, "not_authenticated")


@pytest.mark.parametrize(("role", "status"), [(Role.OWNER, 200), (Role.MANAGER, 200), (Role.CASHIER, 403)])
def test_who_may_read_reports_in_the_admin_may_here(role, status, clickhouse_database):
    person = StaffFactory(role=role).member
    tokens = open_session(person, as_staff=True, at=timezone.now())

    assert Caller(f"Bearer {tokens.access}").get("analytics/summary").status_code == status


def test_programme_staff_read_them_all(monkeypatch, clickhouse_database):
    asked = []
    monkeypatch.setattr("analytics.api.views.rfm_map", lambda own: asked.append(own) or 1 / 0)
    person = StaffFactory(business=Business.objects.get(is_programme=True)).member
    manager = StaffFactory(role=Role.MANAGER)
    StaffFactory(member=manager.member, role=Role.CASHIER)

    for member in (person, manager.member):
        tokens = open_session(member, as_staff=True, at=timezone.now())
        Caller(f"Bearer {tokens.access}").get("analytics/rfm")

    assert asked == [None, frozenset({manager.business_id})]
