"""The admin's second step in real Chromium: set up, asked for, readable at any width and theme."""

import re
from base64 import b32decode
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from loyalty.totp import code_at, step_of
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.factories import StaffFactory

__all__ = ["chromium"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
WIDE = {"width": 1280, "height": 900}
PASSWORD = "a long enough word"
WORDS = {
    "ru-RU": ("Код", "Включить", "Коды сохранены, продолжить", "Продолжить"),
    "en-GB": ("Code", "Turn on", "I have kept them, go on", "Go on"),
}


@pytest.fixture
def member(db):
    staff = StaffFactory().member
    staff.set_password(PASSWORD)
    staff.save()
    return staff


def enter(page, address, member):
    page.goto(f"{address}/admin/")
    page.locator("input[name=username]").fill(member.phone)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").first.click()


@pytest.mark.parametrize(
    ("size", "theme", "locale"), [(NARROW, "dark", "ru-RU"), (WIDE, "light", "en-GB")], ids=["narrow", "wide"]
)
def test_a_person_sets_it_up_and_enters_by_a_recovery_code(
    live_server, member, chromium, settings, size, theme, locale
):
    settings.STAFF_SECOND_FACTOR_REQUIRED = True
    code_label, turn_on, kept, go_on = WORDS[locale]
    context = chromium.new_context(viewport=size, locale=locale, color_scheme=theme)
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()

    enter(page, live_server.url, member)
    expect(page.locator("ol svg")).to_be_visible()
    assert sideways(page) == 0
    shown = page.locator("ol code").text_content().replace(" ", "")
    code = code_at(b32decode(shown), step_of(timezone.now()))
    page.get_by_label(code_label, exact=False).fill(code)
    page.get_by_role("button", name=turn_on).click()

    codes = page.locator("ul.grid li")
    expect(codes).to_have_count(10)
    assert sideways(page) == 0
    first = codes.first.text_content().strip()
    assert re.fullmatch(r"[2-9a-z]{10}", first)
    page.get_by_role("link", name=kept).click()
    expect(page).to_have_url(f"{live_server.url}/admin/")

    context.clear_cookies()
    enter(page, live_server.url, member)
    page.get_by_label(code_label, exact=False).fill("000000")
    page.get_by_role("button", name=go_on).click()
    expect(page.get_by_text(re.compile("did not fit|не подошёл"))).to_be_visible()
    assert sideways(page) == 0
    page.get_by_label(code_label, exact=False).fill(first)
    page.get_by_role("button", name=go_on).click()
    expect(page).to_have_url(f"{live_server.url}/admin/")

    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()
