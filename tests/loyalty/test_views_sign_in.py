"""Members come in: by a phone code, by an invitation; and the pages of invitations and of the tier."""

import re
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from django.urls import reverse

from loyalty.models import Member, Referral, StatusTier, TierChange
from tests.factories import MemberFactory
from tests.loyalty.pages import PHONE, buy, read, words


def joining(code, **boxes):
    """Return the form of a newcomer who agrees to what nobody joins without."""
    return {"joining": "1", "code": code, "processing": "on", **boxes}


# --- Sign-in -----------------------------------------------------------------------------------------


def test_home_sends_a_stranger_to_sign_in(client):
    assert client.get("/").url == reverse("member-sign-in")


@pytest.mark.django_db
def test_sign_in_goes_from_phone_to_code_to_home(client, codes):
    asked = client.post(reverse("member-sign-in"), {"phone": "8 916 123-42-17"})
    assert asked.url == reverse("member-sign-in-code")
    [(phone, code)] = codes
    assert phone == PHONE

    asked = client.post(reverse("member-sign-in-code"), {"code": f"{code[:3]} {code[3:]}"})
    assert (asked.status_code, Member.objects.filter(phone=PHONE).exists()) == (200, False)
    entered = client.post(reverse("member-sign-in-code"), joining(code))

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
    client.post(reverse("member-sign-in-code"), joining(codes[-1][1]))

    assert Member.objects.get(phone=PHONE).referred_by == inviter
    assert "sign_in" not in client.session


@pytest.mark.django_db
def test_an_invitation_that_does_not_work_is_said_kindly_and_stops_nobody(client, codes):
    page = client.get("/sign-in/?ref=%00x" + "X" * 3000, headers={"accept-language": "en"})
    assert page.status_code == 200
    assert "This invitation does not work any more. You are welcome all the same." in words(page)

    client.post(reverse("member-sign-in"), {"phone": PHONE, "ref": "NOBODYS1"})
    client.post(reverse("member-sign-in-code"), joining(codes[-1][1]))

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
