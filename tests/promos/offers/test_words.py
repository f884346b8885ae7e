"""Rules in plain words, in both languages."""

from datetime import UTC, datetime

import pytest
from django.utils.translation import override

from promos.offers.rules import parse
from promos.offers.words import badge, limit_words, sentence


@pytest.fixture(autouse=True)
def in_english():
    with override("en"):
        yield


TWICE = {"kind": "multiplier", "value": "2"}
GIFT = {"kind": "coupon", "benefit": "gift", "text": "чай", "valid_days": 14}


@pytest.mark.parametrize(("conditions", "effect", "english", "russian"), [
    ({}, TWICE, "On every purchase: bonuses ×2", "За каждую покупку: бонусы ×2"),
    (
        {"weekdays": [1, 2, 3, 4, 5], "hours": {"from": "14:00", "until": "17:00"}, "tiers": [2, 3, 4]},
        TWICE,
        "On weekdays 14–17, for tiers 2 and up: bonuses ×2",
        "По будням с 14 до 17, для уровней 2 и выше: бонусы ×2",
    ),
    (
        {"weekdays": [6, 7], "hours": {"from": "22:30", "until": "02:00"}}, {"kind": "percent", "value": "5"},
        "At weekends 22:30–02:00: 5% more in bonuses",
        "По выходным с 22:30 до 02:00: ещё 5\xa0% бонусами",
    ),
    (
        {"min_amount": "500", "categories": ["чай", "кофе"]}, {"kind": "discount_fixed", "value": "100"},
        "On a bill of 500\u202f₽ or more, for purchases of “чай”, “кофе”: 100\u202f₽ off the bill",
        "При чеке от 500\u202f₽, за покупки категорий «чай», «кофе»: скидка 100\u202f₽",
    ),
    (
        {"first_purchase": True, "tiers": [1]}, {"kind": "fixed", "value": "50"},
        "On the first purchase here, for tier 1: 50 bonuses more",
        "За первую покупку здесь, для уровня 1: ещё 50 бонусов",
    ),
    (
        {"birthday_days": 7, "tiers": [1, 3]}, GIFT,
        "For tiers 1, 3, within 7 days of the birthday: "
        "a coupon for the next visit, a gift: чай; good for 14 days",
        "Для уровней 1, 3, в пределах 7 дней от дня рождения: "
        "купон на следующий визит, подарок: чай; действует 14 дней",
    ),
    (
        {"from": "2026-06-01T00:00:00+03:00", "until": "2026-07-01T00:00:00+03:00", "weekdays": [1, 3]},
        TWICE,
        "From 1 June 2026 to 30 June 2026, on these days: Mon, Wed: bonuses ×2",
        "С 1 июня 2026 по 30 июня 2026, по дням: Пн, Ср: бонусы ×2",
    ),
])  # fmt: skip
def test_a_rule_reads_as_a_sentence(conditions, effect, english, russian):
    rule = parse(conditions, effect)

    with override("en"):
        assert sentence(rule) == english
    with override("ru"):
        assert sentence(rule) == russian


def test_a_member_never_reads_the_name_of_a_segment():
    rule = parse({"segments": ["hibernating"]}, TWICE)

    assert sentence(rule) == "For some members, by how they buy: bonuses ×2"
    assert sentence(rule, for_staff=True) == "For the segments «Hibernating»: bonuses ×2"


@pytest.mark.parametrize(("effect", "text", "tone"), [
    (TWICE, "×2", "honey"),
    ({"kind": "percent", "value": "5"}, "+5%", "honey"),
    ({"kind": "fixed", "value": "50"}, "+50", "honey"),
    ({"kind": "discount_percent", "value": "10"}, "−10%", "berry"),
    (GIFT, "★", "pine"),
])  # fmt: skip
def test_a_badge_says_the_effect_in_a_few_characters(effect, text, tone):
    short = badge(parse({}, effect).effect)

    assert (short.text, short.tone) == (text, tone)


def test_limits_are_said_only_where_there_are_any():
    assert limit_words(per_member=None, per_member_day=None) == ""
    assert limit_words(per_member=3, per_member_day=1) == (
        "At most 3 times for each member, at most 1 time a day"
    )


def test_an_end_within_a_day_is_said_to_the_minute():
    rule = parse({"until": datetime(2026, 6, 1, 12, 30, tzinfo=UTC).isoformat()}, TWICE)

    assert sentence(rule) == "Till 1 June 2026, 15:30: bonuses ×2"
