"""The owners' reports in Chromium: nothing breaks, nothing runs sideways, every word can be read."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import expect

from analytics.services.forecasts import forecast_customers
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from loyalty.models import Business
from tests.analytics.test_forecasts import days_ago, sell
from tests.analytics.test_liability import enter
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.browser.test_offer_pages import session_of
from tests.factories import BusinessFactory, StaffFactory

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

WIDE = {"width": 1280, "height": 900}
# Path, and the title of the first card in Russian and in English.
PAGES = {
    "returns/": ("вернутся за 90 дней", "will come back within 90 days"),
    "returns/?first=slipping": ("вернутся за 90 дней", "will come back within 90 days"),
    "cohorts/": ("Из 100 новичков", "Of 100 newcomers"),
    "segments/": ("перешли в другой сегмент", "moved to another segment"),
    "liability/": ("На руках у участников", "Members hold"),
    "breakage/": ("Из 100 выданных бонусов", "Of 100 bonuses given"),
}
# The least contrast of any text in the report with what lies behind it (WCAG 2.2, 1.4.3).
LEAST_CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('.reports *')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if (!text || !e.getClientRects().length) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, `${e.tagName}.${e.className}: ${text}`];
  }
  return worst;
}"""


@pytest.fixture
def sessions(clickhouse, db):
    """The cookies of the programme and of an owner, after a year of trade."""
    shop = BusinessFactory(name="Чайная на углу")
    sell(shop, buyers=90, regulars=60)
    for back in (500, 100):
        given = days_ago(back)
        enter(clickhouse, given, "accrual", "100.00", given, issuer=shop.pk)
        enter(clickhouse, given, "redemption", "-40.00", days_ago(back - 80), issuer=shop.pk)
    enter(clickhouse, given, "expiry", "-60.00", days_ago(1), issuer=shop.pk)
    enter(clickhouse, days_ago(10), "accrual", "25.00", days_ago(10), issuer=shop.pk)
    sync_facts()
    today = timezone.localdate()
    for back in (90, 60, 30, 0):
        calculate_rfm(snapshot_date=today - timedelta(days=back), at=timezone.now())
    forecast_customers(until=today, at=timezone.now())
    backend = "django.contrib.auth.backends.ModelBackend"
    programme = StaffFactory(business=Business.objects.get(is_programme=True)).member
    owner = StaffFactory(business=shop).member
    return {"programme": session_of(programme, backend), "owner": session_of(owner, backend)}


def test_reports_of_customers_and_bonuses(live_server, sessions, chromium):
    address = live_server.url
    for person, language, scheme, size in (
        ("programme", "ru", "light", WIDE),
        ("programme", "en", "dark", NARROW),
        ("owner", "ru", "dark", WIDE),
        ("owner", "en", "light", NARROW),
    ):
        context = chromium.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        cookies = {
            settings.SESSION_COOKIE_NAME: sessions[person], settings.LANGUAGE_COOKIE_NAME: language,
        }  # fmt: skip
        context.add_cookies([{"name": name, "value": v, "url": address} for name, v in cookies.items()])
        watch, page = Watch(context, urlsplit(address).netloc), context.new_page()
        for path, (russian, english) in PAGES.items():
            page.goto(f"{address}/admin/reports/{path}")
            title = russian if language == "ru" else english
            expect(page.locator(".reports .card h2").first).to_contain_text(title)
            for summary in page.locator(".reports summary").all():
                summary.click()
            assert sideways(page) == 0, (person, path)
            ratio, where = page.evaluate(LEAST_CONTRAST)
            assert ratio >= 4.5, (person, scheme, path, where)
            for picture in page.locator(".reports svg[role=img]").all():
                assert picture.get_attribute("aria-label")
            with page.expect_download() as waiting:
                page.locator(".reports a[download]").first.click()
            assert waiting.value.suggested_filename.endswith(".csv")
        page.goto(f"{address}/admin/reports/segments/")
        page.locator("#id_earlier").fill("2001-01-01")
        page.locator(".days button").click()
        expect(page.locator(".fault")).to_have_count(1)
        assert (watch.complaints, watch.foreign) == ([], [])
        context.close()
