"""Members read their history and each purchase, explained in words."""

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import override

from loyalty.models import Member, StatusTier
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest
from promos.services.quotes import make_quote
from tests.factories import (
    BusinessFactory,
    ChainFactory,
    CouponFactory,
    MemberFactory,
    consent,
    give_bonuses,
    invite,
)
from tests.loyalty.pages import buy, lapse, page_of, read, words

# --- History -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("ru", ["возврат −300 ₽", "чек 1 000 ₽", "почему 30?", "Бонусы сгорели", "−12,50"]),
        ("en", ["refund −300 ₽", "bill 1 000 ₽", "why 30?", "Bonuses ran out", "−12.50"]),
    ],
)
def test_history_holds_purchases_refunds_and_entries(signed_in, member, business, now, language, expected):
    buy(member, business, "1000.00", at=now - timedelta(days=2), receipt="1")
    refund = RefundRequest(business=business, external_id="2", refund_of="1", amount=D("300.00"))
    record_refund(refund, at=now - timedelta(days=1))
    lapse(member, business, "12.50", at=now - timedelta(hours=1))

    text = read(signed_in, reverse("member-history"), language)

    assert [piece for piece in expected if piece not in text] == []
    assert text.index(expected[3]) < text.index(expected[0]) < text.index(expected[1])


def test_history_pages_meet_without_gap_or_repeat(signed_in, member, business, now):
    # Equal moments on purpose: the page breaks between them.
    purchases = [buy(member, business, "100.00", at=now - timedelta(days=i // 3)) for i in range(25)]

    first = signed_in.get(reverse("member-history")).content.decode()
    [more] = re.findall(r'href="(\?after=[^"]+)"', first)
    second = signed_in.get(reverse("member-history") + more).content.decode()

    links = re.findall(r'href="/purchases/([0-9a-f-]+)/"', first + second)
    assert len(links) == 25
    assert set(links) == {str(purchase.pk) for purchase in purchases}
    assert "hx-get" not in second


def test_show_more_answers_htmx_with_the_rows_alone(signed_in, member, business, now):
    for _purchase in range(21):
        buy(member, business, "100.00", at=now - timedelta(hours=1))
    [more] = re.findall(r'hx-get="(\?after=[^"]+)"', signed_in.get("/history/").content.decode())

    part = signed_in.get("/history/" + more, headers={"hx-request": "true"}).content.decode()

    assert "<html" not in part
    assert part.count('class="row"') == 1
    assert "<h2" not in part  # The day's heading is on the page already.


@pytest.mark.parametrize(
    "cursor", ["x", "20260101T000000000000-zz", "-", "99999999T000000000000-" + "0" * 32]
)
def test_a_made_up_cursor_is_no_page(signed_in, cursor):
    assert signed_in.get(reverse("member-history"), {"after": cursor}).status_code == 404


# --- A purchase --------------------------------------------------------------------------------------


def test_a_purchase_explains_itself_in_words(signed_in, member, now):
    bakery, tea = BusinessFactory(name="Печём вместе"), BusinessFactory(name="Чайная на углу")
    agreed = now - timedelta(days=1)
    consent(member)
    ChainFactory(source_business=bakery, target_business=tea, trigger_min_amount=D("500"), accepted_at=agreed)
    small = buy(member, bakery, "420.00", at=now)
    large = buy(member, bakery, "700.00", at=now)

    text = words(signed_in.get(page_of(small), headers={"accept-language": "ru"}))
    assert "Уровень «Знакомый»: 3 % от 420 ₽ +12,60" in text
    assert "Купон в «Чайная на углу» Даём за чек от 500 ₽, а здесь 420 ₽." in text

    text = words(signed_in.get(page_of(large), headers={"accept-language": "en"}))
    assert "Why 21? Bill 700 ₽ Tier “Acquaintance”: 3% of 700 ₽ +21 Bonuses in all +21" in text
    assert "What else it brought −20% Чайная на углу 20% off the bill 14 days left" in text


def test_the_hold_out_is_never_told(signed_in, member, now):
    chain = ChainFactory(holdout_percent=D("100"), accepted_at=now - timedelta(days=1))
    consent(member)
    purchase = buy(member, chain.source_business, "700.00", at=now)
    assert chain.assignments.get().arm == "control"

    text = words(signed_in.get(page_of(purchase)))

    assert chain.target_business.name not in text


def test_a_purchase_shows_its_coupon_and_refunds(signed_in, member, business, now):
    coupon = CouponFactory(
        member=member, business=business, benefit="multiplier", benefit_value=D("2"),
        valid_from=now - timedelta(days=2), valid_until=now + timedelta(days=2),
    )  # fmt: skip
    request = PurchaseRequest(
        business=business, external_id="7", member_id=member.pk, amount=D("1000.00"), coupon_code=coupon.code
    )
    purchase, _new = record_purchase(request, at=now)
    record_refund(RefundRequest(business, "8", "7", D("500.00")), at=now)

    text = words(signed_in.get(page_of(purchase), headers={"accept-language": "ru"}))

    assert "3 % от 1 000 ₽ +30 Купон: бонусы ×2 +30 Итого бонусов +60" in text
    assert re.search(r"Возвраты Сегодня, \d\d:\d\d 500 ₽ Бонусы за эту покупку списаны −30 бонусами", text)


def test_a_purchase_tells_what_was_spent_what_earned_nothing_and_the_new_tier(signed_in, member, now):
    shop = BusinessFactory(name="Печём вместе", no_earn_categories=["Табак"], requires_presence_code=False)
    give_bonuses(member, shop, "1000.00", at=now - timedelta(days=1))
    lines = [
        {"name": "Торт", "amount": "29500.00", "quantity": "1"},
        {"category": "табак", "amount": "900.00"},
        {"amount": "1000.00"},
    ]
    bought, _new = record_purchase(
        PurchaseRequest(
            shop, "1", member.pk, D("31400.00"), lines=lines, redeem=D("314.00"), purchased_at=now
        ),
        at=now,
    )  # fmt: skip

    text = words(signed_in.get(page_of(bought), headers={"accept-language": "ru"}))

    assert "Чек 31 400 ₽ Оплачено бонусами −314 ₽ Товары без бонусов −900 ₽" in text
    assert "3 % от 30 186 ₽ +905,58 Итого бонусов +905,58" in text
    assert "Вы теперь «Приятель» Новый процент — со следующей покупки" in text
    assert "По позициям Торт × 1 29 500 ₽ бонусами 295 ₽ +875,89 бонусами" in text
    assert "табак 900 ₽ бонусами 9 ₽ 0 бонусами Позиция 3 1 000 ₽" in text
    assert "+591,58 бонусами сегодня" in (home := read(signed_in, "/", "ru"))
    assert "почему 905,58?" in home


def test_a_gift_for_joining_waits_apart_and_goes_with_its_purchase(signed_in, member, business, now):
    inviter = MemberFactory()
    invite(inviter, member)
    at = now - timedelta(hours=1)
    bought = buy(member, business, "500.00", at=at, receipt="1")
    with override("en"):
        day = date_format(timezone.localtime(at) + timedelta(days=14), "j F")

    text = read(signed_in, page_of(bought), "en")
    assert "3% of 500 ₽ +15 Bonuses in all +15" in text
    assert f"Gift for joining by an invitation +150 in bonuses yours to spend from {day}" in text
    assert "For an invitation +150" in read(signed_in, reverse("member-history"), "en")

    record_refund(RefundRequest(business, "2", "1", D("500.00")), at=now)
    text = read(signed_in, page_of(bought), "en")
    assert "taken back −15 in bonuses Gift for joining by an invitation taken back −150" in text
    signed_in.force_login(inviter)
    history = read(signed_in, reverse("member-history"), "ru")
    assert "Награда за приглашение отменена −300" in history
    assert "За приглашение +300" in history
    assert signed_in.get(page_of(bought)).status_code == 404


def test_a_refund_tells_what_returned_what_lapsed_what_is_owed_and_what_is_let_be(signed_in, member, now):
    Member.objects.filter(pk=member.pk).update(status_tier=StatusTier.objects.get(level=2))
    shop = BusinessFactory(requires_presence_code=False)
    coupon = CouponFactory(
        member=member, business=shop, benefit="fixed", benefit_value=D("100"),
        valid_from=now - timedelta(days=20), valid_until=now + timedelta(days=2),
    )  # fmt: skip
    give_bonuses(member, shop, "50.00", at=now - timedelta(days=9))
    lines = [{"name": "Торт", "amount": "10000.00"}, {"name": "Чай", "amount": "150.00"}]
    request = PurchaseRequest(
        shop, "1", member.pk, D("10150.00"), coupon_code=coupon.code, redeem=D("50.00"), lines=lines,
        purchased_at=now - timedelta(days=8),
    )  # fmt: skip
    bought, _new = record_purchase(request, at=now - timedelta(days=8))
    # All that it brought is spent elsewhere, and more than the overdraft of 300 is to come back.
    elsewhere = BusinessFactory(can_accrue=False, requires_presence_code=False)
    record_purchase(PurchaseRequest(elsewhere, "1", member.pk, D("5000.00"), redeem=D("500.00")), at=now)
    all_of_it = RefundRequest(shop, "2", "1", lines=(LineRefund(1), LineRefund(2)))
    record_refund(all_of_it, at=now)

    text = read(signed_in, page_of(bought), "ru")

    assert "Торт, Чай 10 000 ₽ Бонусы, которыми вы платили, снова ваши +50" in text
    assert "Купон снова ваш −100 ₽" in text


def test_bonuses_that_ran_out_before_a_refund_are_not_asked_back(signed_in, member, business, now):
    bought = buy(member, business, "1000.00", at=now - timedelta(days=400), receipt="1")
    record_refund(RefundRequest(business, "2", "1", D("1000.00")), at=now)

    text = read(signed_in, page_of(bought), "ru")

    assert "30 бонусов за эту покупку уже сгорели, забирать нечего" in text
    history = read(signed_in, reverse("member-history"), "ru")
    assert re.search(rf"{business.name} 0 бонусами \d\d:\d\d возврат −1 000 ₽", history)


def test_a_debt_that_was_repaid_first_is_told_beside_the_bonuses(signed_in, member, now):
    Member.objects.filter(pk=member.pk).update(status_tier=StatusTier.objects.get(level=2))
    shop = BusinessFactory(requires_presence_code=False)
    buy(member, shop, "1000.00", at=now - timedelta(days=2), receipt="1")
    spent = PurchaseRequest(shop, "2", member.pk, D("200.00"), redeem=D("50.00"))
    record_purchase(spent, at=now - timedelta(days=1))
    record_refund(RefundRequest(shop, "3", "1", D("1000.00")), at=now)
    bought = buy(member, shop, "600.00", at=now)

    text = read(signed_in, page_of(bought), "en")

    assert "Bonuses in all +30 Of these, went towards the debt after a refund 30" in text


def test_home_shows_bonuses_that_a_quote_sets_aside(signed_in, member, now):
    shop = BusinessFactory()
    give_bonuses(member, shop, "100.00", at=now - timedelta(days=1))
    bill = PurchaseRequest(shop, None, member.pk, D("500.00"), redeem=D("40.00"))
    make_quote(bill, hold=True, at=now)

    text = read(signed_in, "/", "ru")

    assert "60 бонусов доступно" in text
    assert "Отложено для покупки на кассе прямо сейчас 40 бонусов" in text


def test_a_strangers_purchase_is_not_found(signed_in, business, now):
    purchase = buy(MemberFactory(), business, "700.00", at=now)

    assert signed_in.get(page_of(purchase)).status_code == 404
