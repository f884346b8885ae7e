"""Joining and the consents page in Chromium: without a script, narrow, and within the content policy."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from loyalty.models import Business
from tests.browser.test_member_pages import NARROW, Watch, chromium, sent, sideways
from tests.factories import BusinessFactory

__all__ = ["chromium", "sent"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def tea(db: None) -> Business:
    return BusinessFactory(code="TEA", name="Чайная на углу")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_a_newcomer_joins_and_decides_again_later(live_server, sent, tea, script, chromium):
    context = chromium.new_context(
        viewport=NARROW, locale="ru-RU", color_scheme="dark", java_script_enabled=script
    )
    watch, page = Watch(context, urlsplit(live_server.url).netloc), context.new_page()
    page.goto(f"{live_server.url}/")
    page.get_by_label("Телефон").fill("8 916 123-42-18")
    page.get_by_role("button", name="Получить код").click()
    page.get_by_label("Код из сообщения").fill(sent[-1])
    page.get_by_role("button", name="Войти").click()

    # Three boxes, none ticked; without the first nobody joins, and the other two stay as they were.
    expect(page.get_by_role("heading", name="Остался один шаг")).to_be_visible()
    assert [box.is_checked() for box in page.get_by_role("checkbox").all()] == [False] * 3
    assert not script or sideways(page) == 0
    page.get_by_label("Согласие получать предложения").check()
    page.get_by_role("button", name="Вступить").click()
    expect(page.get_by_text("Без этого согласия бонусы начислять некому.")).to_be_visible()
    page.get_by_label("Согласие на обработку").check()
    page.get_by_role("button", name="Вступить").click()

    page.get_by_role("link", name="Мои согласия").click()
    advertising = page.locator("section", has=page.get_by_role("heading", name="Предложения и купоны"))
    assert [box.is_checked() for box in advertising.get_by_role("checkbox").all()] == [True] * 4
    advertising.get_by_label("СМС").uncheck()
    advertising.get_by_role("button", name="Сохранить").click()
    expect(page.get_by_text("Сохранили, действует с этой минуты.")).to_be_visible()

    page.get_by_label("Партнёр", exact=True).select_option("Чайная на углу")
    page.get_by_role("button", name="Настроить").click()
    card = page.locator("#TEA")
    card.get_by_label("В приложении").uncheck()
    card.get_by_label("Видит мою фамилию и телефон").check()
    card.get_by_role("button", name="Сохранить").click()
    expect(page.get_by_text("Сохранили, действует с этой минуты.")).to_be_visible()

    page.reload()
    said = [box.is_checked() for box in advertising.get_by_role("checkbox").all()]
    assert said == [True, False, True, True]
    card.locator("summary").click()
    assert [box.is_checked() for box in card.get_by_role("checkbox").all()] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert not script or sideways(page) == 0
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()
