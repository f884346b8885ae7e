"""The wallet of coupons: what can be done with each, where it came from, what became of it."""

from datetime import timedelta
from decimal import Decimal as D

from django.urls import reverse
from django.utils import timezone

from loyalty.rules import end_of_day
from promos.models import CampaignCoupon, Coupon, Offer
from promos.services.checkout import record_purchase, record_refund
from tests.factories import BusinessFactory, CampaignFactory, ChainFactory, CouponFactory
from tests.loyalty.pages import words
from tests.promos.requests import purchase, refund


def test_coupons_stand_by_what_can_be_done_with_them(signed_in, member, now):
    dates = {"valid_from": now - timedelta(days=5), "valid_until": now + timedelta(days=10)}
    shop = {name: BusinessFactory(name=f"Лавка {name}") for name in ("live", "soon", "later", "past", "void")}
    live = CouponFactory(member=member, business=shop["live"], min_amount=D("500"), **dates)
    CouponFactory(member=member, business=shop["soon"], **(dates | {"valid_until": now + timedelta(days=3)}))
    later = dates | {"valid_from": now + timedelta(days=1)}
    not_yet = CouponFactory(member=member, business=shop["later"], **later)
    past = dates | {"valid_until": now - timedelta(minutes=1)}
    CouponFactory(member=member, business=shop["past"], **past)
    CouponFactory(member=member, business=shop["void"], status=Coupon.Status.VOIDED, **dates)
    strange = CouponFactory(**dates)

    response = signed_in.get(reverse("member-coupons"), headers={"accept-language": "ru"})
    page = words(response)

    titles = ["Лавка soon", "Лавка live", "Ещё не действуют", "Лавка later", "Истекли", "Лавка past",
              "Отменены магазином", "Лавка void"]  # fmt: skip
    found = [page.find(title) for title in titles]
    assert found == sorted(found)
    assert -1 not in found
    assert "скидка 20 % на чек ещё 10 дней При чеке от 500 ₽." in page
    html = response.content.decode()
    assert '<span class="coupon__soon">' in html
    assert f"{live.code[:5]}-{live.code[5:]}" in html
    assert f"{not_yet.code[:5]}-{not_yet.code[5:]}" not in html
    assert strange.business.name not in page


def test_a_used_coupon_leads_to_its_last_purchase(signed_in, member, business, now):
    coupon = CouponFactory(member=member, business=business, valid_until=now + timedelta(days=10))
    for number in ("first", "second"):
        bill = purchase(member, business, number, coupon_code=coupon.code, purchased_at=now)
        bought, _ = record_purchase(bill, at=now)
        if number == "first":
            record_refund(refund(business, "back", number, "1000.00", purchased_at=now), at=now)

    html = signed_in.get(reverse("member-coupons")).content.decode()

    assert html.count("/purchases/") == 1
    assert reverse("member-purchase", args=[bought.pk]) in html


def test_a_coupon_says_where_it_came_from(signed_in, member, business, now):
    dates = {"member": member, "business": business, "valid_until": now + timedelta(days=10)}
    chain = ChainFactory(target_business=business)
    CouponFactory(**dates, chain=chain)
    CouponFactory(**dates, offer=Offer.objects.create(business=business, title="Чай в подарок"))
    given = CouponFactory(**dates)
    CampaignCoupon.objects.create(campaign=CampaignFactory(), member=member, coupon=given)

    page = words(signed_in.get(reverse("member-coupons"), headers={"accept-language": "ru"}))

    assert f"Потому что вы купили в «{chain.source_business.name}»." in page
    assert "По предложению «Чай в подарок»." in page
    assert "Подарок от магазина: «Осенние купоны»." in page


def test_the_last_day_is_the_last_on_which_it_works(signed_in, member, now):
    end_of_today = end_of_day(timezone.localdate(now), timezone.get_default_timezone())
    CouponFactory(member=member, valid_until=end_of_today)

    page = words(signed_in.get(reverse("member-coupons"), headers={"accept-language": "ru"}))

    assert "сегодня последний день" in page
