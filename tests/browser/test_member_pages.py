"""The members' journey in real Chromium: it works, stays within the content policy, calls nobody else."""

import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from loyalty.models import Member
from loyalty.services import otp
from promos.services.checkout import record_many
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest
from tests.factories import BusinessFactory, ChainFactory, agreeing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

# Nothing of Chromium's own may look like a call of the page.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = "+79161234217"
NARROW = {"width": 360, "height": 740}


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser of this test alone. Ask for it last: while it runs, this thread has an event loop,
    and Django would take another connection than the test's own."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


class Watch:
    """What a page did that it should not have."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        context.on("console", lambda message: self._console(message.type, message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", lambda request: self._request(request.url, host))

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _request(self, url: str, host: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != host:
            self.foreign.append(url)


@pytest.fixture
def member(db: None) -> Member:
    """A member with 24 purchases, the newest of which brought a coupon."""
    at = timezone.now()
    member = agreeing(phone=PHONE)
    bakery, tea = BusinessFactory(name="Печём вместе"), BusinessFactory(name="Чайная на углу")
    agreed = at - timedelta(days=1)
    ChainFactory(source_business=bakery, target_business=tea, trigger_min_amount=D("500"), accepted_at=agreed)
    amounts = ["700.00", *["120.00"] * 23]
    record_many(
        [
            PurchaseRequest(bakery, str(n), member.pk, D(amount), purchased_at=at - timedelta(days=n))
            for n, amount in enumerate(amounts)
        ],
        at=at,
    )
    return member


@pytest.fixture
def large_one(member: Member) -> None:
    """The newest purchase: of long lines, it lifts the member, and one of its lines came back."""
    at = timezone.now()
    shop = BusinessFactory(name="Лавка редких книг и старинных открыток у реки", no_earn_categories=["карты"])
    lines = [
        {"name": "Собрание сочинений в двадцати четырёх томах с иллюстрациями", "amount": "160000.00"},
        {"name": "Подарочная-карта-без-единого-пробела-в-очень-длинном-названии", "category": "карты",
         "amount": "3000.00"},
    ]  # fmt: skip
    record_many(
        [
            PurchaseRequest(shop, "large", member.pk, D("163000.00"), lines=lines, purchased_at=at),
            RefundRequest(shop, "back", "large", lines=(LineRefund(1, D("100.00")),), purchased_at=at),
        ],
        at=at,
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings) -> list[str]:
    # Counters of codes hang on the secret; those of other tests are not ours.
    settings.SECRET_KEY = uuid.uuid4().hex
    codes: list[str] = []
    monkeypatch.setattr(otp, "deliver_code", lambda _phone, code: codes.append(code))
    return codes


def sign_in(page: Page, address: str, sent: list[str]) -> None:
    page.goto(f"{address}/")
    page.get_by_label("Телефон").fill("8 916 123-42-17")
    page.get_by_role("button", name="Получить код").click()
    expect(page.get_by_label("Код из сообщения")).to_be_focused()
    page.keyboard.type(sent[-1])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Здравствуйте, Анна")).to_be_visible()


def sideways(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    # A page that is just arriving has no element yet.
    page.wait_for_function("document.readyState === 'complete'")
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_from_the_phone_to_the_reason_of_a_bonus(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru-RU", color_scheme="light", has_touch=True)
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()

    sign_in(page, live_server.url, sent)
    assert sideways(page) == 0
    page.get_by_role("link", name="почему 21?").click()
    expect(page.get_by_role("heading", name="Почему 21?")).to_be_visible()
    expect(page.get_by_text("Уровень «Знакомый»")).to_be_visible()
    assert sideways(page) == 0

    page.get_by_role("link", name="История").last.click()
    rows = page.locator("main a.row")
    expect(rows).to_have_count(20)
    page.get_by_role("link", name="Показать ещё").click()
    expect(rows).to_have_count(24)
    assert sideways(page) == 0

    page.get_by_role("link", name="Купоны").click()
    page.get_by_text("Показать код").click()
    expect(page.locator(".coupon__digits")).to_be_visible()
    assert sideways(page) == 0

    page.get_by_role("button", name="Выйти").click()
    expect(page.get_by_label("Телефон")).to_be_visible()
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_purchase_of_many_words_stays_within_the_screen(live_server, large_one, sent, chromium, width):
    context = chromium.new_context(
        viewport={"width": width, "height": 740}, locale="ru-RU", color_scheme="dark"
    )
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    sign_in(page, live_server.url, sent)

    page.get_by_role("link", name="почему 4 800?").click()
    expect(page.get_by_role("heading", name="По позициям")).to_be_visible()
    expect(page.get_by_text("Вы теперь «Друг»")).to_be_visible()
    expect(page.get_by_text("Бонусы за эту покупку списаны")).to_be_visible()
    assert sideways(page) == 0
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


def test_the_code_may_be_asked_for_again_after_a_wait(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="en")
    page = context.new_page()
    page.goto(live_server.url)
    page.get_by_label("Phone").fill(PHONE)
    page.get_by_role("button", name="Get a code").click()

    again = page.get_by_role("button", name="Send again")
    expect(again).to_be_disabled()
    expect(again).to_have_text("Send again in 59 s")
    context.close()


def test_everything_works_without_javascript(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru-RU", java_script_enabled=False)
    page = context.new_page()

    page.goto(f"{live_server.url}/history/")
    page.get_by_label("Телефон").fill(PHONE)
    page.get_by_role("button", name="Получить код").click()
    page.get_by_role("button", name="Отправить снова").click()
    page.get_by_label("Код из сообщения").fill(sent[-1])
    page.get_by_role("button", name="Войти").click()

    expect(page.locator("main a.row")).to_have_count(20)
    page.get_by_role("link", name="Показать ещё").click()
    expect(page.locator("main a.row")).to_have_count(4)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="History", level=1)).to_be_visible()
    assert len(sent) == 2
    context.close()


@pytest.mark.parametrize(
    ("scheme", "paper", "ink"),
    [("light", "rgb(251, 246, 239)", "rgb(36, 28, 23)"), ("dark", "rgb(25, 20, 18)", "rgb(246, 238, 231)")],
)
def test_light_and_dark_follow_the_persons_wish(live_server, chromium, scheme, paper, ink):
    context = chromium.new_context(viewport=NARROW, color_scheme=scheme)
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    page.goto(live_server.url)

    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"[{style}.backgroundColor, {style}.color]") == [paper, ink]
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px Inter', 'Я'))")
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


def test_targets_are_large_and_focus_is_seen(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru-RU")
    page = context.new_page()
    sign_in(page, live_server.url, sent)

    low = page.eval_on_selector_all(
        "a, button, summary",
        """all => all.filter(e => !e.matches('.skip-link') && e.getBoundingClientRect().height < 44)
                   .map(e => e.textContent.trim())""",
    )
    assert low == []
    page.goto(live_server.url)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="К содержанию")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    context.close()


def test_an_invitation_leads_a_newcomer_in_and_the_inviter_sees_them(live_server, member, sent, chromium):
    context = chromium.new_context(viewport=NARROW, locale="ru-RU", has_touch=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    sign_in(page, live_server.url, sent)

    page.get_by_role("link", name="Пригласить").click()
    page.get_by_role("button", name="Скопировать ссылку").click()
    expect(page.get_by_role("button", name="Скопировано")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert sideways(page) == 0

    other = chromium.new_context(viewport=NARROW, locale="ru-RU", has_touch=True)
    guest = other.new_page()
    guest.goto(link)
    expect(guest.get_by_text("Анна приглашает вас в круг.")).to_be_visible()
    guest.get_by_label("Телефон").fill("8 916 123-42-18")
    guest.get_by_role("button", name="Получить код").click()
    expect(guest.get_by_text("Анна приглашает вас в круг.")).to_be_visible()
    guest.keyboard.type(sent[-1])
    guest.keyboard.press("Enter")
    expect(guest.get_by_text("Анна приглашает вас в круг.")).to_be_visible()
    guest.get_by_label("Согласие на обработку").check()
    guest.get_by_role("button", name="Вступить").click()
    expect(guest.get_by_role("heading", name="Здравствуйте")).to_be_visible()
    assert sideways(guest) == 0

    page.reload()
    expect(page.get_by_text("покупки от 500 ₽ ещё не было")).to_be_visible()
    page.get_by_role("link", name="Главная").click()
    page.get_by_role("link", name="Знакомый · 3 %").click()
    expect(page.get_by_role("heading", name="Все уровни")).to_be_visible()
    assert sideways(page) == 0
    assert (watch.complaints, watch.foreign) == ([], [])
