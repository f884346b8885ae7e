"""The admin's pages of webhooks in real Chromium: readable at any width, theme and language."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from loyalty.services.webhooks.endpoints import add_endpoint, ping
from tests.browser.test_crm_pages import WIDE, session_of
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.factories import StaffFactory

__all__ = ["chromium"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
# Where to leave pictures for whoever wants to look: WEBHOOK_PICTURES=/tmp/pictures.
PICTURES = os.environ.get("WEBHOOK_PICTURES")


@pytest.fixture
def shop(business, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    endpoint, _secret = add_endpoint(
        business=business,
        url="http://127.0.0.1:9/loyalty/accounting/hooks/purchases-and-refunds",
        description="Учёт",
        events=["purchase.created", "purchase.refunded"],
    )
    deliveries = [ping(endpoint, at=timezone.now()) for _number in range(3)]
    for delivery, status, answer in zip(
        deliveries, ("delivered", "failed", "pending"), ("ok", "<h1>Bad gateway</h1>", ""), strict=True
    ):
        delivery.status, delivery.answer, delivery.attempts = status, answer, len(answer)
        delivery.answer_status = {"delivered": 200, "failed": 502}.get(status)
        delivery.save()
    owner = StaffFactory(business=business, role="owner").member
    return session_of(owner), endpoint.pk, deliveries[1].pk


@pytest.mark.parametrize(
    ("size", "theme", "locale"),
    [
        (NARROW, "dark", "ru-RU"),
        (NARROW, "light", "en-GB"),
        (WIDE, "light", "ru-RU"),
        (WIDE, "dark", "en-GB"),
    ],
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
            page.screenshot(
                path=Path(PICTURES) / f"{name}-{size['width']}-{theme}-{locale}.png", full_page=True
            )

    see("list", reverse("admin:loyalty_webhookendpoint_changelist"))
    see("webhook", reverse("admin:loyalty_webhookendpoint_change", args=[pk]))
    see("ping", reverse("admin:loyalty_webhookendpoint_ping", args=[pk]))
    see("deliveries", reverse("admin:loyalty_webhookdelivery_changelist") + f"?webhook={pk}")
    see("delivery", reverse("admin:loyalty_webhookdelivery_change", args=[failed]))
    page.goto(live_server.url + reverse("admin:loyalty_webhookendpoint_add"))
    page.locator("#id_url").fill("ftp://till.example/")
    page.locator("[name=_save]").first.click()
    expect(page.locator("#id_url[aria-invalid=true]")).to_be_visible()
    look("refused")
    page.locator("#id_url").fill("http://127.0.0.1:9/second")
    page.locator("[name=events]").first.check()
    page.locator("[name=_save]").first.click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    look("secret")

    page.close()
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()
