"""The code at the till in real Chromium: one tap from home, renewed by itself, readable by a scanner."""

import re
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from loyalty.services.presence import spend_code
from tests.browser.test_member_pages import (
    NARROW,
    PHONE,
    Watch,
    chromium,
    sent,
    sideways,
    sign_in,
)
from tests.factories import MemberFactory

__all__ = ["chromium", "sent"]
DIGITS = re.compile(r"^[0-9]{3} [0-9]{3}$")
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def member(db):
    return MemberFactory(phone=PHONE)


def test_code_is_one_tap_from_home_and_renews_itself(live_server, member, sent, settings, chromium):
    settings.PRESENCE_CODE_SECONDS, settings.PRESENCE_LEAST_SECONDS = 4, 1
    context = chromium.new_context(viewport=NARROW, locale="ru-RU", color_scheme="dark", has_touch=True)
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    sign_in(page, live_server.url, sent)
    digits = page.locator(".code__digits")
    expect(digits).to_have_text(DIGITS)
    assert sideways(page) == 0

    page.get_by_role("link", name="Показать код крупно").click()
    expect(page.locator(".code--large")).to_be_visible()
    expect(digits).to_have_text(DIGITS)
    expect(page.get_by_text("новый через")).to_be_visible()
    assert sideways(page) == 0

    first = digits.text_content()
    expect(digits).not_to_have_text(first)
    expect(page.locator(".code__now--over")).to_have_count(0)
    expect(digits).to_have_text(DIGITS)
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


def test_code_is_shown_and_refreshed_without_javascript(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="en-GB", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/code/")
    page.get_by_label("Phone").fill(PHONE)
    page.get_by_role("button", name="Get a code").click()
    page.get_by_label("Code from the message").fill(sent[-1])
    page.get_by_role("button", name="Sign in").click()

    digits = page.locator(".code__digits")
    expect(digits).to_have_text(DIGITS)
    expect(page.get_by_text("good until")).to_be_visible()
    first = digits.text_content().replace(" ", "")
    spend_code(first, member.pk, receipt="1", at=timezone.now())
    page.get_by_role("link", name="Refresh the code").click()

    expect(digits).to_have_text(DIGITS)
    assert digits.text_content().replace(" ", "") != first
    context.close()


def test_a_code_that_cannot_be_renewed_is_dimmed_and_asked_for_again(
    live_server, member, sent, settings, chromium
):
    settings.PRESENCE_CODE_SECONDS, settings.PRESENCE_LEAST_SECONDS = 3, 1
    context = chromium.new_context(viewport=NARROW, locale="ru-RU")
    page = context.new_page()
    sign_in(page, live_server.url, sent)
    page.goto(f"{live_server.url}/code/")
    first = page.locator(".code__digits").text_content()

    context.set_offline(True)
    expect(page.locator(".code__now--over")).to_be_visible()
    context.set_offline(False)

    expect(page.locator(".code__digits")).not_to_have_text(first, timeout=10_000)
    context.close()
