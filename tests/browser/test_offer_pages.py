"""An owner builds an offer in Chromium, tries it and publishes it; a member sees it."""

from datetime import timedelta
from decimal import Decimal as D
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from promos.services.checkout import record_many
from promos.services.purchases import PurchaseRequest
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.factories import BusinessFactory, MemberFactory, StaffFactory

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def session_of(member, backend):
    client = Client()
    client.force_login(member, backend=backend)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def sessions(db):
    """The cookies of an owner whose shop sold for five weeks, and of a member."""
    business = BusinessFactory(name="Чайная на углу")
    owner = StaffFactory(business=business).member
    member = MemberFactory()
    at = timezone.now()
    record_many(
        [
            PurchaseRequest(
                business, str(n), member.pk, D("1000.00"), category="чай",
                purchased_at=at - timedelta(days=7 * n),
            )
            for n in range(5)
        ],
        at=at,
    )  # fmt: skip
    return {
        "owner": session_of(owner, "django.contrib.auth.backends.ModelBackend"),
        "member": session_of(member, "loyalty.backends.PhoneCodeBackend"),
    }


def signed_in(chromium, address, session, **more):
    context = chromium.new_context(locale="ru-RU", **more)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}])
    return context


def test_from_the_form_to_the_members_page(live_server, sessions, chromium):
    address = live_server.url
    desk = signed_in(chromium, address, sessions["owner"], viewport={"width": 1280, "height": 900})
    watch, page = Watch(desk, urlsplit(address).netloc), desk.new_page()

    page.goto(f"{address}/admin/promos/offer/add/")
    page.get_by_label("Название").fill("К чаю")
    page.get_by_label("Сколько", exact=True).fill("2")
    said = page.locator("#offer-preview .said")
    expect(said).to_have_text("За каждую покупку: бонусы ×2")
    page.get_by_label("чай", exact=True).check()
    expect(said).to_have_text("За покупки категорий «чай»: бонусы ×2")
    page.get_by_role("button", name="Сохранить и продолжить редактирование").click()

    page.get_by_role("link", name="Примерить").click()
    expect(page.get_by_text("Она стоила бы 150")).to_be_visible()
    expect(page.locator(".bar-chart svg rect.bar")).not_to_have_count(0)
    assert sideways(page) == 0
    page.get_by_role("link", name="К акции").click()
    page.get_by_role("link", name="Опубликовать").click()
    page.get_by_role("button", name="Опубликовать").click()
    expect(page.get_by_text("Акция действует, участники её видят.")).to_be_visible()
    assert (watch.complaints, watch.foreign) == ([], [])
    desk.close()

    phone = signed_in(chromium, address, sessions["member"], viewport=NARROW)
    watch, page = Watch(phone, urlsplit(address).netloc), phone.new_page()
    page.goto(address)
    page.get_by_role("link", name="Акции", exact=True).click()
    expect(page.get_by_text("К чаю")).to_be_visible()
    expect(page.get_by_text("За покупки категорий «чай»: бонусы ×2")).to_be_visible()
    assert sideways(page) == 0
    assert (watch.complaints, watch.foreign) == ([], [])
    phone.close()


def test_faults_stand_at_their_fields_on_a_phone_and_nothing_is_saved(live_server, sessions, chromium):
    phone = signed_in(chromium, live_server.url, sessions["owner"], viewport=NARROW)
    page = phone.new_page()
    page.goto(f"{live_server.url}/admin/promos/offer/add/")
    page.get_by_label("Название").fill("Ошибка")
    page.get_by_label("Что даёт").select_option("percent")
    page.get_by_label("Сколько", exact=True).fill("101")
    page.get_by_label("Первый день").fill("30.06.2030")
    page.get_by_label("Последний день").fill("01.06.2030")
    page.get_by_role("button", name="Сохранить", exact=True).click()

    expect(page.locator(".errorlist")).to_have_count(2)
    assert sideways(page) == 0
    page.goto(f"{live_server.url}/admin/promos/offer/")
    expect(page.get_by_text("Ошибка")).to_have_count(0)
    phone.close()
