"""Members' home and coupons, and what holds for every page: language, cost in queries, no inline code."""

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client
from django.urls import reverse

from loyalty.models import Member, StatusTier
from promos.services.checkout import record_refund
from promos.services.purchases import RefundRequest
from tests.factories import BusinessFactory, ChainFactory, CouponFactory
from tests.loyalty.pages import PHONE, buy, lapse, page_of, read, words

# --- Home --------------------------------------------------------------------------------------------


def test_home_shows_the_numbers_of_the_wallet(signed_in, member, now):
    Member.objects.filter(pk=member.pk).update(status_tier=StatusTier.objects.get(level=2))
    shop, slow = BusinessFactory(name="Печём вместе"), BusinessFactory(name="Сумочный дом", pending_days=14)
    buy(member, shop, "1240.00", at=now - timedelta(days=355))
    buy(member, shop, "24800.00", at=now - timedelta(days=40))
    buy(member, slow, "1700.00", at=now - timedelta(hours=1))

    text = read(signed_in, "/", "ru")

    assert "Здравствуйте, Анна" in text
    assert "Приятель · 5 % 1 302 бонуса доступно" in text
    # 1,240 + 24,800 + 1,700 of 100,000 for the tier of a friend.
    assert "Ещё 72 260 ₽ покупок до уровня «Друг»" in text
    assert "Скоро начислим +85 " in text
    assert "Скоро сгорят 62 " in text
    assert "почему 85?" in text


def test_home_in_english_is_english(signed_in, member, business, now):
    buy(member, business, "700.00", at=now)

    text = read(signed_in, "/", "en")

    assert "Hello, Анна" in text
    assert "Acquaintance · 3% 21 bonuses available" in text
    assert "29 300 ₽ more in purchases to the tier “Pal”" in text
    assert "why 21?" in text
    assert set(re.findall("[А-Яа-яЁё]+", text)) == {"Анна", "Л", "Лавка"}


def test_empty_home_invites(signed_in):
    text = read(signed_in, "/", "ru")

    assert "0 бонусов доступно" in text
    assert "Здесь появятся купоны Первый обычно приходит после покупки у соседей." in text
    assert "Здесь появятся покупки" in text


def test_the_highest_tier_has_nothing_left_to_reach(signed_in, member):
    Member.objects.filter(pk=member.pk).update(status_tier=StatusTier.objects.get(level=4))

    text = read(signed_in, "/", "ru")

    assert "Высший уровень: 10 % с каждой покупки" in text


# --- Every page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["member-home", "member-history", "member-coupons"])
def test_queries_do_not_grow_with_rows(signed_in, member, now, name, django_assert_num_queries):
    def add_rows(count: int) -> None:
        for _row in range(count):
            chain = ChainFactory(accepted_at=now - timedelta(days=1))
            buy(member, chain.source_business, "700.00", at=now)
            lapse(member, chain.target_business, "5.00", at=now)
            CouponFactory(member=member, status="redeemed", valid_until=now)

    # Session, member; then wallet, tiers, turnover, coupons, history 2.
    queries = {"member-home": 10, "member-history": 4, "member-coupons": 4}[name]
    add_rows(1)
    with django_assert_num_queries(queries):
        signed_in.get(reverse(name))
    add_rows(2)
    with django_assert_num_queries(queries):
        signed_in.get(reverse(name))


def test_a_purchase_costs_the_same_with_one_coupon_and_refund_as_with_three(
    signed_in, member, business, now, django_assert_num_queries
):
    def purchase_with(count: int):
        for _chain in range(count):
            ChainFactory(source_business=business, accepted_at=now - timedelta(days=1))
        purchase = buy(member, business, "900.00", at=now, receipt=f"p{count}")
        for part in range(count):
            record_refund(RefundRequest(business, f"r{count}{part}", f"p{count}", D("100.00")), at=now)
        return purchase

    for purchase in (purchase_with(1), purchase_with(3)):
        with django_assert_num_queries(6):
            signed_in.get(page_of(purchase))


def test_the_language_is_the_browsers_until_the_member_chooses(signed_in):
    assert 'lang="en"' in signed_in.get("/", headers={"accept-language": "en-GB"}).content.decode()

    chosen = signed_in.post(reverse("set_language"), {"language": "ru", "next": "/coupons/"})

    assert chosen.url == "/coupons/"
    assert '<html lang="ru">' in signed_in.get("/", headers={"accept-language": "en-GB"}).content.decode()


def test_pages_carry_no_inline_style_or_script(signed_in, member, business, now):
    purchase = buy(member, business, "700.00", at=now)
    CouponFactory(member=member, valid_until=now + timedelta(days=2))
    paths = ["/", "/history/", "/coupons/", "/tier/", "/invite/", page_of(purchase), "/nowhere/"]

    for path in paths:
        response = signed_in.get(path)
        html = response.content.decode()
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\bsrc=)", html), path
        policy = response.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", html), path


def test_a_missing_page_is_said_in_words(client):
    response = client.get("/nowhere/", headers={"accept-language": "ru"})

    assert response.status_code == 404
    assert "По этому адресу ничего нет" in words(response)


def test_a_form_without_its_token_is_said_in_words():
    response = Client(enforce_csrf_checks=True).post(
        reverse("member-sign-in"), {"phone": PHONE}, headers={"accept-language": "ru"}
    )

    assert response.status_code == 403
    assert "Форма успела устареть" in words(response)
