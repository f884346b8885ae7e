"""The JSON of an owner is a sound rule, or every fault is named by its path."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promos.offers.rules import RuleFaults, parse, to_json

DOUBLE = {"kind": "multiplier", "value": "2"}
EVERYTHING = {
    "from": "2026-06-01T00:00:00+03:00",
    "until": "2026-07-01T00:00:00+03:00",
    "weekdays": [6, 7],
    "hours": {"from": "22:00", "until": "02:00"},
    "min_amount": "500.00",
    "categories": ["чай"],
    "tiers": [1, 4],
    "segments": ["champions", "new"],
    "first_purchase": True,
    "birthday_days": 0,
    "attended_event": "0197a0c0-0000-7000-8000-000000000001",
}
COUPON = {
    "kind": "coupon", "benefit": "percent", "value": "10", "text": "", "min_amount": "0.00", "valid_days": 14,
}  # fmt: skip


def faults(conditions=None, effect=None, **options):
    with pytest.raises(RuleFaults) as refused:
        parse(conditions or {}, DOUBLE if effect is None else effect, **options)
    return [path for path, message in refused.value.faults if message]


@pytest.mark.parametrize(
    ("conditions", "path"),
    [
        ({"from": "2026-06-02T00:00:00Z", "until": "2026-06-01T00:00:00Z"}, "conditions.until"),
        ({"from": "2026-06-02T00:00:00Z", "until": "2026-06-02T03:00:00+03:00"}, "conditions.until"),
        ({"from": "2026-06-02T00:00:00"}, "conditions.from"),
        ({"from": "soon"}, "conditions.from"),
        ({"from": 20260602}, "conditions.from"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "conditions.until"),
        ({"weekdays": []}, "conditions.weekdays"),
        ({"weekdays": [1, 8]}, "conditions.weekdays.1"),
        ({"weekdays": [True]}, "conditions.weekdays.0"),
        ({"weekdays": [[1]]}, "conditions.weekdays.0"),
        ({"weekdays": "1"}, "conditions.weekdays"),
        ({"hours": {"from": "14:00", "until": "14:00"}}, "conditions.hours.until"),
        ({"hours": {"from": "14:00"}}, "conditions.hours.until"),
        ({"hours": {"from": "25:00", "until": "14:00"}}, "conditions.hours.from"),
        ({"hours": {"from": "10:00", "until": "14:00", "to": "1"}}, "conditions.hours.to"),
        ({"hours": "14:00"}, "conditions.hours"),
        ({"min_amount": "0"}, "conditions.min_amount"),
        ({"min_amount": "1.005"}, "conditions.min_amount"),
        ({"min_amount": "NaN"}, "conditions.min_amount"),
        ({"min_amount": True}, "conditions.min_amount"),
        ({"min_amount": 10**5000}, "conditions.min_amount"),
        ({"categories": [""]}, "conditions.categories.0"),
        ({"categories": [None]}, "conditions.categories.0"),
        ({"tiers": [0]}, "conditions.tiers.0"),
        ({"segments": ["vip"]}, "conditions.segments.0"),
        ({"first_purchase": "yes"}, "conditions.first_purchase"),
        ({"birthday_days": -1}, "conditions.birthday_days"),
        ({"birthday_days": "7"}, "conditions.birthday_days"),
        ({"attended_event": "the party"}, "conditions.attended_event"),
        ({"weather": "rain"}, "conditions.weather"),
        ([], "conditions"),
        ("{}", "conditions"),
    ],
)
def test_a_fault_of_the_conditions_is_named_by_its_path(conditions, path):
    with pytest.raises(RuleFaults) as refused:
        parse(conditions, DOUBLE)
    assert [path for path, _ in refused.value.faults] == [path]


@pytest.mark.parametrize(
    ("effect", "paths"),
    [
        ({}, ["effect.kind"]),
        (None, ["effect"]),
        ([DOUBLE], ["effect"]),
        ({"kind": "gratis", "value": "1"}, ["effect.kind"]),
        ({"kind": ["multiplier"]}, ["effect.kind"]),
        ({"kind": "multiplier"}, ["effect.value"]),
        ({"kind": "multiplier", "value": "0"}, ["effect.value"]),
        ({"kind": "multiplier", "value": "1"}, ["effect.value"]),
        ({"kind": "multiplier", "value": "20.01"}, ["effect.value"]),
        ({"kind": "percent", "value": "100.01"}, ["effect.value"]),
        ({"kind": "percent", "value": "-5"}, ["effect.value"]),
        ({"kind": "fixed", "value": "0"}, ["effect.value"]),
        ({"kind": "discount_percent", "value": "101"}, ["effect.value"]),
        ({"kind": "discount_fixed", "value": "1e3"}, ["effect.value"]),
        ({"kind": "fixed", "value": "5", "unit": "rub"}, ["effect.unit"]),
        (COUPON | {"benefit": "hug"}, ["effect.benefit"]),
        (COUPON | {"value": "200"}, ["effect.value"]),
        (COUPON | {"valid_days": 0}, ["effect.valid_days"]),
        (COUPON | {"benefit": "gift", "value": "0"}, ["effect.text"]),
        (COUPON | {"benefit": "gift", "text": "Чай"}, ["effect.value"]),
        (COUPON | {"text": "Чай"}, ["effect.text"]),
        (COUPON | {"min_amount": "-1"}, ["effect.min_amount"]),
    ],
)
def test_a_fault_of_the_effect_is_named_by_its_path(effect, paths):
    with pytest.raises(RuleFaults) as refused:
        parse({}, effect)
    assert [path for path, _ in refused.value.faults] == paths


def test_all_faults_are_named_at_once():
    given = {"weekdays": [9], "hours": {"from": "1", "until": "09:00"}, "tiers": []}
    assert faults(given, {"kind": "percent", "value": "101"}) == [
        "conditions.weekdays.0", "conditions.hours.from", "conditions.tiers", "effect.value",
    ]  # fmt: skip


def test_a_category_never_seen_at_the_business_is_refused():
    assert faults({"categories": ["чай", "шины"]}, categories={"чай"}) == ["conditions.categories.1"]
    assert parse({"categories": ["чай"]}, DOUBLE, categories={"чай"}).conditions.categories == ("чай",)


@pytest.mark.parametrize("effect", [DOUBLE, COUPON, {"kind": "discount_fixed", "value": "100"}])
def test_what_is_stored_is_what_was_said(effect):
    rule = parse(EVERYTHING, effect)
    stored = json.loads(json.dumps(to_json(rule)))
    assert stored == [EVERYTHING, effect]
    assert parse(*stored) == rule


def test_numbers_and_words_of_one_meaning_are_stored_alike():
    rule = parse(
        {"first_purchase": False, "min_amount": 500, "weekdays": [7, 1, 7]}, {**DOUBLE, "value": 2.50}
    )
    assert to_json(rule) == ({"min_amount": "500.00", "weekdays": [1, 7]}, {**DOUBLE, "value": "2.5"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
names = st.sampled_from([*EVERYTHING, *COUPON])
guesses = st.dictionaries(names, anything | st.sampled_from([*EVERYTHING.values(), *COUPON.values()]))


@given(anything | guesses, anything | guesses)
def test_whatever_comes_is_a_rule_or_named_faults(conditions, effect):
    try:
        rule = parse(conditions, effect)
    except RuleFaults as refused:
        sides = {path.split(".")[0] for path, message in refused.faults if message}
    else:
        assert parse(*to_json(rule)) == rule
        sides = {"effect"}
    assert sides
    assert sides <= {"conditions", "effect"}
