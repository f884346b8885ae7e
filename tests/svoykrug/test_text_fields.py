"""Texts of requests: the quick look at a text comes to what Django REST framework's fields come to."""

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from svoykrug.serializers import TextField

TEXTS = [
    "tea", "чай с мятой", "x" * 8, "x" * 9, "", " ", " tea", "tea\t", "a b", "\u00a0tea", "a\u200bb", "a\nb",
    "a\x00b", "\ud800", "👩‍🌾", "%s'\"\\",
]  # fmt: skip
KINDS = [
    {},
    {"max_length": 8},
    {"max_length": 8, "allow_blank": True},
    {"max_length": 8, "trim_whitespace": False},
]


def outcome(field, text):
    try:
        return field.run_validation(text)
    except ValidationError as error:
        return error.get_codes()


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_text_comes_to_the_same_as_in_a_plain_field(kind, text):
    assert outcome(TextField(**kind), text) == outcome(serializers.CharField(**kind), text)


@pytest.mark.parametrize("value", [7, 7.5, True, None, ["tea"], {"tea": 1}])
def test_what_is_no_text_is_refused(value):
    assert outcome(TextField(), value) in (["invalid"], ["null"])


def test_a_further_rule_is_asked_of_printable_texts_too():
    field = TextField(min_length=3)

    assert outcome(field, "ab") == ["min_length"]
    assert outcome(field, "abc") == "abc"
