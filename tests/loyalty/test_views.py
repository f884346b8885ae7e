"""Members' pages: what they show, to whom, in both languages, and at what cost in queries."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import override

from loyalty.models import Business, Member, Referral, StatusTier, TierChange, Transaction
from loyalty.services import otp
from loyalty.services.expiry import expire_bonuses
from promos.models import Coupon
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import LineRefund, PurchaseRequest, RefundRequest
from promos.services.quotes import make_quote
from tests.factories import BusinessFactory, ChainFactory, CouponFactory, MemberFactory, give_bonuses, invite

PHONE = "+79161234217"


@pytest.fixture
def now() -> datetime:
    # The views take the hour from the clock; the rows of a test stand relative to it.
    return timezone.now()


@pytest.fixture
def codes(own_codes: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Phones and codes, kept instead of being sent."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(otp, "deliver_code", lambda phone, code: sent.append((phone, code)))
    return sent


@pytest.fixture
def signed_in(client: Client, member: Member) -> Client:
    client.force_login(member)
    return client


def buy(member: Member, business: Business, amount: str, *, at: datetime, receipt: str | None = None):
    request = PurchaseRequest(
        business=business, external_id=receipt, member_id=member.pk, amount=D(amount), purchased_at=at
    )
    return record_purchase(request, at=at)[0]


def words(response) -> str:
    """Return what a reader of the page reads, spaces made plain."""
    html = response.content.decode()
    main = re.search(r"<main.*?</main>", html, re.DOTALL)
    text = re.sub(
        r"<svg.*?</svg>|<[^>]+>", " ", main[0] if main else response.content.decode(), flags=re.DOTALL
    )
    return re.sub(r"\s+", " ", unescape(text)).strip()


def read(client: Client, path: str, language: str) -> str:
    return words(client.get(path, headers={"accept-language": language}))


def page_of(purchase: Transaction) -> str:
    return reverse("member-purchase", args=[purchase.pk])


# --- Sign-in -----------------------------------------------------------------------------------------


def test_home_sends_a_stranger_to_sign_in(client):
    assert client.get("/").url == reverse("member-sign-in")


@pytest.mark.django_db
def test_sign_in_goes_from_phone_to_code_to_home(client, codes):
    asked = client.post(reverse("member-sign-in"), {"phone": "8 916 123-42-17"})
    assert asked.url == reverse("member-sign-in-code")
    [(phone, code)] = codes
    assert phone == PHONE

    entered = client.post(reverse("member-sign-in-code"), {"code": f"{code[:3]} {code[3:]}"})

    assert entered.url == reverse("member-home")
    member = Member.objects.get(phone=PHONE)
    assert client.session["_auth_user_id"] == str(member.pk)
    assert "sign_in" not in client.session


@pytest.mark.django_db
def test_a_wrong_code_lets_nobody_in_and_says_what_to_do(client, codes):
    client.post(reverse("member-sign-in"), {"phone": PHONE})
    wrong = f"{(int(codes[0][1]) + 1) % 1_000_000:06}"

    response = client.post(reverse("member-sign-in-code"), {"code": wrong}, headers={"accept-language": "ru"})

    assert "Код не подошёл. Проверьте цифры или запросите новый." in words(response)
    assert "_auth_user_id" not in client.session
    assert not Member.objects.filter(phone=PHONE).exists()


@pytest.mark.django_db
def test_an_unusable_phone_is_named_beside_its_field(client, codes):
    response = client.post(reverse("member-sign-in"), {"phone": "12"})

    html = response.content.decode()
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_phone_error"' in html
    assert 'id="id_phone_error"' in html
    assert codes == []


@pytest.mark.django_db
def test_too_many_codes_are_refused_with_the_minutes_to_wait(client, codes, settings):
    settings.OTP_REQUESTS_PER_PHONE = 1
    client.post(reverse("member-sign-in"), {"phone": PHONE})

    response = client.post(reverse("member-sign-in"), {"phone": PHONE}, headers={"accept-language": "en"})

    assert response.status_code == 429
    assert re.search(r"There were too many tries\. Try again in \d+ minutes?\.", words(response))
    assert len(codes) == 1


@pytest.mark.django_db
def test_sign_in_returns_to_the_page_asked_for_but_never_to_another_site(client, codes):
    assert client.get(reverse("member-history")).url == "/sign-in/?next=/history/"
    client.post(reverse("member-sign-in"), {"phone": PHONE, "next": "/history/"})
    assert client.session["sign_in"]["next"] == "/history/"

    client.post(reverse("member-sign-in"), {"phone": PHONE, "next": "https://elsewhere.example/"})
    assert client.session["sign_in"]["next"] == ""


@pytest.mark.django_db
def test_the_code_page_without_a_phone_begins_anew(client):
    assert client.get(reverse("member-sign-in-code")).url == reverse("member-sign-in")


def test_sign_out_ends_the_session_and_only_by_post(signed_in):
    assert signed_in.get(reverse("member-sign-out")).status_code == 405
    assert signed_in.post(reverse("member-sign-out")).url == reverse("member-sign-in")
    assert "_auth_user_id" not in signed_in.session


# --- Invitations and the tier ------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_invitation_is_kept_through_every_step_of_sign_in(client, codes):
    inviter = MemberFactory(referral_code="ABCD2345", first_name="Нина")

    opened = client.get("/join/abcd-2345/")
    assert opened.url == "/sign-in/?ref=ABCD2345"
    page = client.get(opened.url, headers={"accept-language": "ru"})
    assert "Нина приглашает вас в круг. Первая покупка от 500 ₽ принесёт ещё 150 бонусов." in words(page)
    assert '<input type="hidden" name="ref" value="ABCD2345">' in page.content.decode()

    client.post(reverse("member-sign-in"), {"phone": PHONE, "ref": "ABCD2345"})
    assert "Нина" in words(client.get(reverse("member-sign-in-code")))
    # Sent again: that form does not carry the code, the session does.
    client.post(reverse("member-sign-in"), {"phone": PHONE})
    client.post(reverse("member-sign-in-code"), {"code": codes[-1][1]})

    assert Member.objects.get(phone=PHONE).referred_by == inviter
    assert "sign_in" not in client.session


@pytest.mark.django_db
def test_an_invitation_that_does_not_work_is_said_kindly_and_stops_nobody(client, codes):
    page = client.get("/sign-in/?ref=%00x" + "X" * 3000, headers={"accept-language": "en"})
    assert page.status_code == 200
    assert "This invitation does not work any more. You are welcome all the same." in words(page)

    client.post(reverse("member-sign-in"), {"phone": PHONE, "ref": "NOBODYS1"})
    client.post(reverse("member-sign-in-code"), {"code": codes[-1][1]})

    assert Member.objects.get(phone=PHONE).referred_by is None


def test_a_member_who_opens_an_invitation_comes_home(signed_in, member):
    followed = signed_in.get(f"/join/{member.referral_code}/", follow=True)

    assert followed.redirect_chain[-1][0] == "/"


def test_the_page_of_invitations_says_what_they_give_and_brought(signed_in, member):
    newcomer = MemberFactory(first_name="Олег")
    Referral.objects.create(inviter=member, newcomer=newcomer, code=member.referral_code)
    Referral.objects.create(
        inviter=member, newcomer=MemberFactory(first_name="Пётр"), code=member.referral_code,
        status="refused", reason="phone_seen",
    )  # fmt: skip

    text = read(signed_in, reverse("member-invite"), "ru")

    assert "150 бонусов соседу, 300 бонусов вам" in text
    assert f"http://testserver/join/{member.referral_code}/" in text
    assert "Он впервые делает покупку от 500 ₽" in text
    assert "Через 14 дней вы оба сможете потратить бонусы" in text
    assert "Вступили 1 Скоро начислим 0 Олег вступление: сегодня покупки от 500 ₽ ещё не было" in text
    assert "Награждаем 10 приглашений в месяц; в этом месяце осталось: 10." in text
    assert "Пётр" not in text


def test_the_page_of_the_tier_says_what_is_needed_and_how_it_changed(signed_in, member, business, now):
    Member.objects.filter(pk=member.pk).update(
        status_tier=StatusTier.objects.get(level=2), tier_valid_until=datetime(2126, 7, 1, tzinfo=UTC)
    )
    buy(member, business, "12500.00", at=now)
    TierChange.objects.create(
        member=member, from_level=1, to_level=2, reason="rise", turnover_rub=D("30150.00"), created_at=now
    )

    text = read(signed_in, reverse("member-tier"), "en")

    assert "Pal · 5% 12 500 ₽ in purchases of the last 12 months, less refunds" in text
    assert "To rise 87 500 ₽ more to the tier “Friend”, 7% back" in text
    # A century ahead, so nothing bought by now will count.
    assert "To stay 30 000 ₽ more before the review on 1 August 2126" in text
    assert "Acquaintance → Pal today purchases of 12 months reached 30 150 ₽" in text


def test_the_lowest_tier_has_nothing_to_lose(signed_in):
    text = read(signed_in, reverse("member-tier"), "ru")

    assert "Чтобы остаться Ничего этот уровень бессрочный" in text
    assert "Пока без перемен" in text


@pytest.mark.parametrize(("name", "queries"), [("member-tier", 5), ("member-invite", 5)])
@pytest.mark.parametrize("rows", [1, 3])
def test_pages_of_tier_and_invitations_cost_the_same(
    signed_in, member, name, queries, rows, django_assert_num_queries
):
    for _row in range(rows):
        Referral.objects.create(inviter=member, newcomer=MemberFactory(), code=member.referral_code)
        TierChange.objects.create(
            member=member, from_level=1, to_level=2, reason="rise", turnover_rub=D("30000.00")
        )

    with django_assert_num_queries(queries):
        signed_in.get(reverse(name))


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


def lapse(member: Member, business: Business, amount: str, *, at: datetime) -> None:
    give_bonuses(member, business, amount, at=at - timedelta(days=365), expires_at=at)
    expire_bonuses(at=at)


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


# --- Coupons -----------------------------------------------------------------------------------------


def test_coupons_keep_used_and_expired_apart(signed_in, member, now):
    dates = {"valid_from": now - timedelta(days=5), "valid_until": now + timedelta(days=1, minutes=1)}
    live = CouponFactory(member=member, min_amount=D("500"), **dates)
    used = CouponFactory(member=member, status=Coupon.Status.REDEEMED, **dates)
    past = CouponFactory(member=member, **(dates | {"valid_until": now - timedelta(minutes=1)}))
    strange = CouponFactory(**dates)

    response = signed_in.get(reverse("member-coupons"), headers={"accept-language": "ru"})
    valid, _, rest = words(response).partition("Использованные и истёкшие")

    assert live.business.name in valid
    assert "скидка 20 % на чек ещё 1 день При чеке от 500 ₽." in valid
    assert f"{live.code[:5]}-{live.code[5:]}" in valid
    assert f"{used.business.name} скидка 20 % на чек Использован" in rest
    assert f"{past.business.name} скидка 20 % на чек Истёк" in rest
    assert used.code not in response.content.decode().replace("-", "")
    assert strange.business.name not in valid + rest


# --- Every page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["member-home", "member-history", "member-coupons"])
def test_queries_do_not_grow_with_rows(signed_in, member, now, name, django_assert_num_queries):
    def add_rows(count: int) -> None:
        for _row in range(count):
            chain = ChainFactory(accepted_at=now - timedelta(days=1))
            buy(member, chain.source_business, "700.00", at=now)
            lapse(member, chain.target_business, "5.00", at=now)
            CouponFactory(member=member, status="redeemed", valid_until=now)

    # Session, member; then wallet 3, tiers, turnover, coupons, history 2.
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
