"""Sums and days as members read them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.utils.translation import override

from loyalty.templatetags.days import day_words, last_day
from loyalty.templatetags.money import (
    available_words,
    bonus_words,
    fraction,
    percent,
    rub,
    signed_bonus,
    whole,
)

TODAY = date(2026, 6, 15)


@pytest.mark.parametrize(
    ("amount", "russian", "english"),
    [
        ("0", "0 бонусов", "0 bonuses"),
        ("1", "1 бонус", "1 bonus"),
        ("2", "2 бонуса", "2 bonuses"),
        ("5", "5 бонусов", "5 bonuses"),
        ("11", "11 бонусов", "11 bonuses"),
        ("21", "21 бонус", "21 bonuses"),
        ("112", "112 бонусов", "112 bonuses"),
        ("1240", "1\u202f240 бонусов", "1\u202f240 bonuses"),
        ("35.50", "35,50 бонуса", "35.50 bonuses"),
        ("1.00", "1 бонус", "1 bonus"),
    ],
)
def test_bonuses_take_the_right_plural(amount, russian, english):
    with override("ru"):
        assert bonus_words(Decimal(amount)) == russian
    with override("en"):
        assert bonus_words(Decimal(amount)) == english


@pytest.mark.parametrize(
    ("amount", "russian"),
    [
        ("1", "бонус доступен"),
        ("3", "бонуса доступно"),
        ("20", "бонусов доступно"),
        ("2.50", "бонуса доступно"),
    ],
)
def test_the_word_under_the_big_number_agrees_with_it(amount, russian):
    with override("ru"):
        assert available_words(Decimal(amount)) == russian


def test_roubles_keep_their_groups_and_sign_on_one_line():
    with override("ru"):
        assert rub(Decimal("168469.60")) == "168\u202f469,60\u202f₽"
        assert rub(Decimal("-700.00")) == "\u2212700\u202f₽"
        assert (whole(Decimal("1240.05")), fraction(Decimal("1240.05"))) == ("1\u202f240", ",05")
    with override("en"):
        assert rub(Decimal("1240.50")) == "1\u202f240.50\u202f₽"


def test_a_gain_and_a_loss_differ_by_sign():
    assert [signed_bonus(Decimal(n)) for n in ("35", "-35", "0")] == ["+35", "\u221235", "0"]


def test_percent_is_set_by_the_custom_of_the_language():
    with override("ru"):
        assert [percent(Decimal(n)) for n in ("3.00", "10.00", "2.50")] == [
            "3\u00a0%",
            "10\u00a0%",
            "2,5\u00a0%",
        ]
    with override("en"):
        assert percent(Decimal("3.00")) == "3%"


def test_days_near_today_have_names_and_far_ones_a_year():
    with override("ru"):
        days = [date(2026, 6, 14), TODAY, date(2026, 6, 16), date(2026, 5, 1), date(2025, 5, 1)]
        shown = [day_words(day, TODAY) for day in days]
        assert shown == [
            "вчера",
            "сегодня",
            "завтра",
            "1 мая",
            "1 мая 2025",
        ]


def test_what_ends_at_midnight_has_the_day_before_as_its_last():
    midnight_in_moscow = datetime(2026, 6, 19, 21, 0, tzinfo=UTC)
    with override("en"):
        assert last_day(midnight_in_moscow, TODAY) == "19 June"
