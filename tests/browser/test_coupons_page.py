"""The wallet of coupons in real Chromium: every state of a coupon, narrow and wide, in both languages."""

from datetime import timedelta
from decimal import Decimal as D
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from promos.models import CampaignCoupon, Coupon
from promos.services.checkout import record_purchase
from tests.browser.test_member_pages import NARROW, Watch, chromium, sideways
from tests.factories import BusinessFactory, CampaignFactory, ChainFactory, CouponFactory, MemberFactory
from tests.promos.requests import purchase

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def wallet(db):
    """A signed-in member's session, and coupons in every state."""
    at, member = timezone.now(), MemberFactory()
    tea = BusinessFactory(name="Чайная на углу")
    books = BusinessFactory(name="Лавка редких книг и старинных открыток у реки")
    bakery = BusinessFactory(name="Печём вместе", requires_presence_code=False)
    mine = {"member": member, "valid_from": at - timedelta(days=5), "created_at": at - timedelta(days=5)}
    chain = ChainFactory(source_business=bakery, target_business=tea, trigger_min_amount=D("5000"))
    CouponFactory(**mine, business=tea, chain=chain, min_amount=D("500"), valid_until=at + timedelta(days=2))
    given = CouponFactory(
        **mine, business=books, benefit="gift", valid_until=at + timedelta(days=12),
        benefit_text="открытка-с-видом-на-старый-мост ручной печати к любой книге из отдела поэзии",
    )  # fmt: skip
    campaign = CampaignFactory(business=books, title="Осень с книгой")
    CampaignCoupon.objects.create(campaign=campaign, member=member, coupon=given)
    CouponFactory(
        **mine | {"valid_from": at + timedelta(days=1)}, business=bakery, benefit="multiplier",
        benefit_value=2, valid_until=at + timedelta(days=30),
    )  # fmt: skip
    used = CouponFactory(
        **mine, business=bakery, benefit="fixed", benefit_value=300, valid_until=at + timedelta(days=9)
    )
    record_purchase(purchase(member, bakery, "17", coupon_code=used.code, purchased_at=at), at=at)
    CouponFactory(**mine, business=tea, valid_until=at - timedelta(minutes=1))
    CouponFactory(
        **mine, business=tea, status=Coupon.Status.VOIDED, void_reason="x", valid_until=at + timedelta(days=9)
    )
    client = Client()
    client.force_login(member)
    return client.cookies["sessionid"].value


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_wallet_stays_within_the_screen(live_server, wallet, chromium, width, scheme, language):
    context = chromium.new_context(
        viewport={"width": width, "height": 740}, locale=language, color_scheme=scheme
    )
    context.add_cookies([{"name": "sessionid", "value": wallet, "url": live_server.url}])
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    page.goto(f"{live_server.url}/coupons/")

    words = {"ru": ("Показать код", "Использованы"), "en": ("Show the code", "Used")}[language]
    expect(page.get_by_role("heading", name=words[1])).to_be_visible()
    page.get_by_text(words[0]).first.click()
    expect(page.locator(".coupon__digits").first).to_be_visible()
    assert page.locator("details").count() == 2
    assert sideways(page) == 0
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


def test_a_used_coupon_opens_its_purchase(live_server, wallet, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru")
    context.add_cookies([{"name": "sessionid", "value": wallet, "url": live_server.url}])
    page = context.new_page()
    page.goto(f"{live_server.url}/coupons/")

    page.locator("section[aria-labelledby=used] a").click()

    expect(page.get_by_text("Скидка по купону")).to_be_visible()
    context.close()
