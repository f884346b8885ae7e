"""The member's code on home and on a page of its own."""

import re
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from loyalty.services import presence
from loyalty.services.presence import member_of_code, spend_code
from tests.receivers import no_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_codes")]
PAGE = "/code/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signed_in(client, member):
    client.force_login(member)
    return client


def digits_on(response):
    return "".join(re.search(r'code__digits">(\d{3}) (\d{3})<', response.content.decode()).groups())


def test_home_and_the_page_show_the_members_code_and_its_qr(signed_in, member):
    home, page = signed_in.get("/"), signed_in.get(PAGE)

    assert member_of_code(digits_on(page), till=uuid4(), at=timezone.now()) == member.pk
    assert digits_on(home) == digits_on(page)
    assert f'href="{PAGE}"' in home.content.decode()
    for response in (home, page):
        assert len(re.findall(r'code__qr"[^>]*><svg[^>]*viewBox="0 0 29 29"', response.content.decode())) == 1
    assert "no-store" in page["Cache-Control"]


def test_htmx_gets_the_card_alone_with_the_next_code(signed_in, member):
    first = digits_on(signed_in.get(PAGE))
    spend_code(first, member.pk, receipt="1", at=timezone.now())

    answer = signed_in.get(PAGE, headers=HTMX)

    assert "<html" not in answer.content.decode()
    assert digits_on(answer) != first


@pytest.mark.parametrize(
    ("language", "words"),
    [("ru", ["Мой код на кассе", "Обновить код"]), ("en", ["My code at the till", "Refresh the code"])],
)
def test_page_speaks_both_languages(signed_in, language, words):
    html = signed_in.get(PAGE, headers={"accept-language": language}).content.decode()

    assert [word for word in words if word not in html] == []


def test_page_carries_no_inline_style_or_script(signed_in):
    response = signed_in.get(PAGE)

    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\bsrc=)", response.content.decode())
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]


def test_stranger_signs_in_first(client):
    assert client.get(PAGE).url == f"{reverse('member-sign-in')}?next={PAGE}"
    # A card cannot hold the sign-in page: the whole page is asked for again.
    assert client.get(PAGE, headers=HTMX)["HX-Refresh"] == "true"


def test_without_the_store_home_works_and_says_so(signed_in, monkeypatch):
    monkeypatch.setattr(presence, "redis_client", no_redis)

    home = signed_in.get("/", headers={"accept-language": "en"})
    page = signed_in.get(PAGE)

    assert (home.status_code, page.status_code) == (200, 503)
    assert "The code does not come just now" in home.content.decode()
    assert "code__digits" not in home.content.decode()
