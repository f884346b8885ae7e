"""The win-win matrix and a pair's report in Chromium: from a chain to what it brought, narrow and wide."""

from datetime import timedelta
from decimal import Decimal as D
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import expect

from analytics.services.cross_promo import aggregate_cross_promo
from tests.analytics.test_reports import watch as watch_arms
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.browser.test_offer_pages import session_of
from tests.browser.test_owner_pages import LEAST_CONTRAST, WIDE
from tests.factories import BusinessFactory, ChainFactory, StaffFactory

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
WORDS = {
    "ru": ("Что принесла цепочка: отчёт", "больше на каждые 100"),
    "en": ("What the chain brought: its report", "more visits per 100"),
}


@pytest.fixture
def chains(clickhouse, db):
    """An owner's cookie, and two chains of the pair: one that shows something, one that knows too little."""
    bakery = BusinessFactory(name="Печём вместе")
    tea = BusinessFactory(name="Лавка редких чаёв и старинных самоваров у реки")
    owner = StaffFactory(business=bakery).member
    agreed = {"accepted_at": timezone.now() - timedelta(days=90), "discount_share_percent": D(20)}
    plain = ChainFactory(source_business=bakery, target_business=tea, title="Утро с чаем", **agreed)
    ChainFactory(source_business=bakery, target_business=tea, title="К плюшке чай", **agreed)
    watch_arms(plain, treated=(200, 60), control=(100, 10))
    aggregate_cross_promo(at=timezone.now())
    return session_of(owner, "django.contrib.auth.backends.ModelBackend"), plain


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_from_the_chain_to_its_report_and_from_the_matrix(
    live_server, chains, chromium, size, scheme, language
):
    address, (session, chain) = live_server.url, chains
    context = chromium.new_context(viewport=size, color_scheme=scheme)
    cookies = {settings.SESSION_COOKIE_NAME: session, settings.LANGUAGE_COOKIE_NAME: language}
    context.add_cookies([{"name": name, "value": v, "url": address} for name, v in cookies.items()])
    watch, page = Watch(context, urlsplit(address).netloc), context.new_page()
    to_report, finding = WORDS[language]

    page.goto(f"{address}/admin/promos/crosspromochain/{chain.pk}/change/")
    assert sideways(page) == 0
    page.get_by_role("link", name=to_report).click()
    expect(page.locator(f"#chain-{chain.pk}")).to_be_in_viewport()
    expect(page.locator(f"#chain-{chain.pk}")).to_contain_text(finding)
    assert sideways(page) == 0
    ratio, where = page.evaluate(LEAST_CONTRAST)
    assert ratio >= 4.5, where

    matrix = context.new_page()
    matrix.goto(f"{address}/admin/reports/win-win/")
    assert sideways(matrix) == 0
    ratio, where = matrix.evaluate(LEAST_CONTRAST)
    assert ratio >= 4.5, where
    matrix.locator(f"a[href*='{chain.source_business_id}/{chain.target_business_id}']").first.click()
    expect(matrix.locator(f"#chain-{chain.pk}")).to_be_attached()
    matrix.go_back()
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()
