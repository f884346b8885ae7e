"""Staff enter the admin by a password; a code sent to the phone opens members' pages only."""

import pytest
from django.test import Client

from loyalty.models import Business
from tests.factories import MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-enough-password"


@pytest.fixture
def owner():
    member = MemberFactory(is_staff=True)
    member.set_password(PASSWORD)
    member.save()
    StaffFactory(member=member, business=Business.objects.get(is_programme=True))
    return member


def test_a_phone_code_does_not_open_the_admin(owner, sent_code):
    browser = Client()
    browser.post("/sign-in/", {"phone": owner.phone})
    browser.post("/sign-in/code/", {"code": sent_code(owner.phone)})
    assert browser.get("/").status_code == 200

    answer = browser.get("/admin/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_a_password_does(owner):
    browser = Client()
    browser.post("/admin/login/", {"username": owner.phone, "password": PASSWORD})

    assert browser.get("/admin/", follow=True).status_code == 200
