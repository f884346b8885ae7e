"""A rule holds or the first condition that fails is told; one that can never hold is warned of."""

from datetime import date, datetime
from decimal import Decimal as D
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from promos.offers.facts import FAR, Facts, blurred_birthday, days_to_birthday, first_failing, warnings
from promos.offers.rules import parse

EFFECT = {"kind": "fixed", "value": "50"}
AT_ELEVEN = {"from": "11:00", "until": "12:00"}
MOSCOW = ZoneInfo("Europe/Moscow")
EVENT = UUID("0197a0c0-0000-7000-8000-000000000001")


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def facts(at="2026-06-15T12:00", **fields):  # a Monday
    fields = {"amount": D("420.00"), "category": "чай", "tier": 2} | fields
    return Facts(at=moment(at), **fields)


@pytest.mark.parametrize(
    ("conditions", "known", "failing"),
    [
        ({}, {}, None),
        ({"from": "2026-06-15T09:00:00Z"}, {}, None),
        ({"from": "2026-06-15T09:00:01Z"}, {}, "from: 2026-06-15 12:00 needed, 2026-06-15 12:00 given"),
        ({"until": "2026-06-15T09:00:01Z"}, {}, None),
        ({"until": "2026-06-15T09:00:00Z"}, {}, "until: 2026-06-15 12:00 needed, 2026-06-15 12:00 given"),
        ({"weekdays": [1]}, {}, None),
        ({"weekdays": [6, 7]}, {}, "weekday: 6, 7 needed, 1 given"),
        # Still Sunday in UTC.
        ({"weekdays": [1]}, {"at": "2026-06-15T01:00"}, None),
        ({"hours": {"from": "12:00", "until": "14:00"}}, {}, None),
        ({"hours": {"from": "10:00", "until": "12:00"}}, {}, "hours: 10:00–12:00 needed, 12:00 given"),
        ({"hours": {"from": "22:00", "until": "02:00"}}, {"at": "2026-06-15T01:59"}, None),
        ({"hours": {"from": "22:00", "until": "02:00"}}, {"at": "2026-06-15T22:00"}, None),
        ({"hours": {"from": "22:00", "until": "02:00"}}, {}, "hours: 22:00–02:00 needed, 12:00 given"),
        ({"min_amount": "420.00"}, {}, None),
        ({"min_amount": "420.01"}, {}, "min_amount: 420.01 needed, 420.00 given"),
        ({"categories": ["чай", "кофе"]}, {}, None),
        ({"categories": ["кофе"]}, {"category": ""}, "category: кофе needed, none given"),
        ({"tiers": [2]}, {}, None),
        ({"tiers": [3, 4]}, {}, "tier: 3, 4 needed, 2 given"),
        ({"segments": ["new"]}, {"segment": "new"}, None),
        ({"segments": ["new"]}, {}, "segment: new needed, none given"),
        ({"first_purchase": True}, {}, None),
        (
            {"first_purchase": True},
            {"returning": True},
            "first_purchase: the member has bought here before",
        ),
        ({"birthday_days": 7}, {"birthday": 7}, None),
        ({"birthday_days": 7}, {"birthday": 8}, "birthday: 7 days around it needed"),
        ({"birthday_days": 7}, {}, "birthday: the member's birthday is not known"),
        ({"attended_event": str(EVENT)}, {"attended": frozenset([EVENT])}, None),
        ({"attended_event": str(EVENT)}, {}, "attended_event: the member did not come to the event"),
        # The first in the order of the list above.
        ({"tiers": [4], "min_amount": "500"}, {}, "min_amount: 500.00 needed, 420.00 given"),
    ],
)
def test_the_first_failing_condition_is_told(conditions, known, failing):
    assert first_failing(parse(conditions, EFFECT), facts(**known)) == failing


@pytest.mark.parametrize(
    ("born", "day", "away"),
    [
        (date(1990, 1, 2), date(2026, 12, 30), 3),
        (date(1990, 12, 30), date(2026, 1, 2), 3),
        (date(2000, 2, 29), date(2026, 3, 1), 0),
        (date(2000, 2, 29), date(2028, 2, 29), 0),
    ],
)
def test_a_birthday_is_near_before_and_after_it(born, day, away):
    assert days_to_birthday(born, day) == away


@pytest.mark.parametrize(("day", "told"), [(16, 3), (19, 7), (23, FAR)])
def test_of_a_birthday_only_what_the_rules_ask_is_told(day, told):
    rules = [parse({"birthday_days": days}, EFFECT) for days in (3, 7)] + [parse({}, EFFECT)]
    assert blurred_birthday(date(1990, 6, day), date(2026, 6, 15), rules) == told
    assert blurred_birthday(None, date(2026, 6, 15), rules) is None


@pytest.mark.parametrize(
    ("conditions", "warned"),
    [
        ({}, False),
        ({"until": "2026-06-15T12:00:00+03:00"}, True),
        ({"until": "2026-06-15T12:00:01+03:00"}, False),
        # Tuesday and Wednesday, yet wanted on Thursdays.
        ({"from": "2026-06-16T00:00:00+03:00", "until": "2026-06-18T00:00:00+03:00", "weekdays": [4]}, True),
        ({"from": "2026-06-16T00:00:00+03:00", "until": "2026-06-18T00:00:01+03:00", "weekdays": [4]}, False),
        # Only the rest of today is left, and the hours are over.
        ({"until": "2026-06-16T00:00:00+03:00", "hours": {"from": "10:00", "until": "12:00"}}, True),
        ({"until": "2026-06-16T11:00:00+03:00", "hours": {"from": "10:00", "until": "12:00"}}, False),
        ({"until": "2026-06-15T22:30:00+03:00", "hours": {"from": "22:00", "until": "02:00"}}, False),
        ({"until": "2026-06-22T12:00:00+03:00", "weekdays": [1], "hours": AT_ELEVEN}, False),
        ({"until": "2026-06-22T11:00:00+03:00", "weekdays": [1], "hours": AT_ELEVEN}, True),
    ],
)
def test_a_rule_that_can_never_hold_is_warned_of(conditions, warned):
    assert bool(warnings(parse(conditions, EFFECT), at=moment("2026-06-15T12:00"))) is warned
