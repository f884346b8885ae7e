"""The CRM pages of the admin in real Chromium: set up, tried, mended; readable at any width and theme."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from loyalty.models import CrmMessage
from promos.crm.applying import apply_message
from promos.crm.integrations import store
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.factories import MemberFactory, StaffFactory
from tests.promos.crm.messages import MAPPING, connect, encoded, sale

__all__ = ["chromium"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
WIDE = {"width": 1280, "height": 900}
# Where to leave pictures for whoever wants to look: CRM_PICTURES=/tmp/pictures.
PICTURES = os.environ.get("CRM_PICTURES")


@pytest.fixture
def shop(business):
    """Return the session of a shop's owner, its integration and the message that needs somebody."""
    staff = StaffFactory(business=business).member
    MemberFactory(phone="+79260000010")
    integration, _ = connect(business, mapping=MAPPING | {"events": "orders"})
    messages = [
        {"orders": [sale(), sale("c-2", type="return", sale_id="c-1", sum=400)]},
        {"orders": [sale("c-3", sum="1 249,50 р.")]},
    ]
    for number, message in enumerate(messages):
        store(integration, {f"{number:064}": encoded(message)}, at=timezone.now())
        apply_message(CrmMessage.objects.get(digest=f"{number:064}").pk, at=timezone.now())
    return session_of(staff), integration.pk, CrmMessage.objects.get(status="failed").pk


def session_of(staff):
    client = Client()
    client.force_login(staff)
    return client.cookies["sessionid"].value


@pytest.mark.parametrize(
    ("size", "theme", "locale"), [(NARROW, "dark", "ru-RU"), (WIDE, "light", "en-GB")], ids=["narrow", "wide"]
)
def test_an_owner_finds_the_way(live_server, shop, chromium, size, theme, locale):
    session, pk, failed = shop
    context = chromium.new_context(viewport=size, locale=locale, color_scheme=theme)
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()

    def see(name, path):
        page.goto(live_server.url + path)
        look(name)

    def look(name):
        assert sideways(page) == 0, name
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{size['width']}-{theme}.png", full_page=True)

    see("list", reverse("admin:loyalty_crmintegration_changelist"))
    see("settings", reverse("admin:loyalty_crmintegration_change", args=[pk]))
    see("messages", reverse("admin:loyalty_crmmessage_changelist"))
    see("message", reverse("admin:loyalty_crmmessage_change", args=[failed]))
    see("again", reverse("admin:loyalty_crmmessage_replay", args=[failed]))
    see("try", reverse("admin:loyalty_crmintegration_try_out", args=[pk]))
    page.locator("#sample").fill(json.dumps({"orders": [sale(), sale("c-9", sum="?")]}))
    page.locator("#content button[type=submit], main button[type=submit]").first.click()
    expect(page.locator("dl")).to_contain_text("c-1")
    look("tried")
    page.goto(live_server.url + reverse("admin:loyalty_crmintegration_new_secret", args=[pk]))
    page.locator("#content button[type=submit], main button[type=submit]").first.click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    look("secret")

    page.close()
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


@pytest.fixture
def newcomer(db):
    return session_of(StaffFactory().member)


def test_an_owner_connects_from_the_form(live_server, newcomer, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru-RU")
    context.add_cookies([{"name": "sessionid", "value": newcomer, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + reverse("admin:loyalty_crmintegration_add"))
    assert sideways(page) == 0
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / "add-360-light.png", full_page=True)
    page.locator("[name=_save]").first.click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    expect(page.locator("#send-to")).to_contain_text("/api/v1/crm/")
    context.close()
