"""Members' page of offers, and the newest on the home page."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from loyalty.models import StatusTier
from promos.models import MemberSegment
from promos.services.offers import Terms, publish, save_draft
from tests.factories import BusinessFactory, MemberFactory
from tests.loyalty.pages import read

TWICE = {"kind": "multiplier", "value": "2"}


def published(business, title, conditions=None, effect=None, **limits):
    offer = save_draft(Terms(title, conditions or {}, effect or TWICE, **limits), business=business)
    return publish(offer.pk, business=business, at=timezone.now())


@pytest.fixture
def pal(client, db):
    member = MemberFactory(status_tier=StatusTier.objects.get(level=2))
    client.force_login(member, backend="loyalty.backends.PhoneCodeBackend")
    return member


def test_page_says_whose_what_when_and_how_often(client, pal):
    tea = BusinessFactory(name="Чайная на углу")
    tomorrow = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    published(tea, "К чаю", {"weekdays": [6, 7], "until": tomorrow.isoformat()}, per_member_day_limit=1)

    page = read(client, "/offers/", "ru")

    for said in ("К чаю", "Чайная на углу", "По выходным: бонусы ×2. Не больше 1 раза в день", "2 дня"):
        assert said in page


def test_what_is_for_other_tiers_stands_last_and_says_from_when_it_is(client, pal, business):
    published(business, "для друзей", {"tiers": [3, 4]})
    published(business, "для новых", {"tiers": [1]})
    published(business, "для всех")

    page = read(client, "/offers/", "ru")

    assert page.index("для всех") < page.index("Для других уровней") < page.index("для новых")
    assert "Откроется вам с уровня 3" in page
    assert "Для других уровней, не вашего" in page


def test_an_offer_for_a_segment_is_seen_by_those_in_it_alone(client, pal, business):
    published(business, "Скучаем", {"segments": ["hibernating"]})
    assert "Скучаем" not in read(client, "/offers/", "ru")

    MemberSegment.objects.create(member=pal, segment="hibernating", snapshot_date=date(2026, 6, 14))
    page = read(client, "/offers/", "ru")
    assert "Скучаем" in page
    assert "Спящие" not in page


def test_without_an_offer_the_page_invites_and_home_keeps_silent(client, pal):
    assert "Здесь появятся акции" in read(client, "/offers/", "ru")
    assert "Offers" not in read(client, "/", "en").replace("Home History Coupons Offers Invite", "")


def test_home_shows_the_three_newest_that_fit(client, pal, business):
    for number in range(5):
        published(business, str(number), {"min_amount": f"{number + 1}00"})
    published(business, "other tier", {"tiers": [4], "min_amount": "900"})

    page = read(client, "/", "en")

    assert [f"{sum_}00" in page for sum_ in (5, 4, 3, 2, 9)] == [True, True, True, False, False]
    assert "All 5" in page


@pytest.mark.parametrize("path", ["/", "/offers/"])
def test_pages_ask_the_same_of_the_database_for_one_offer_and_twenty(
    client, pal, path, django_assert_max_num_queries
):
    def queries() -> int:
        with django_assert_max_num_queries(60) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    published(BusinessFactory(), "first")
    queries()
    first = queries()
    for number in range(19):
        published(BusinessFactory(), str(number))
    assert queries() == first


def test_offers_are_for_members(client):
    assert client.get("/offers/").status_code == 302
