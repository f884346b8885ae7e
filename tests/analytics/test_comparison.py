"""The hold-out's verdict, against Newcombe's own worked example and at the edges."""

import pytest
from django.utils import translation

from analytics.comparison import Arm, compare
from analytics.wording import lift_words


def test_the_interval_is_newcombes(monkeypatch):
    # Newcombe 1998, Statistics in Medicine 17:873, method 10, example (a): 56/70 against 48/80 gives
    # 0.0524 to 0.3339.
    monkeypatch.setattr("analytics.comparison.FEWEST_PER_ARM", 70)
    lift = compare(Arm(70, 56), Arm(80, 48))

    assert (round(lift.per_hundred, 2), round(lift.low, 2), round(lift.high, 2)) == (20.0, 5.24, 33.39)
    assert lift.is_certain


@pytest.mark.parametrize(("treated", "control"), [(99, 100), (100, 99), (0, 0), (500, 0)])
def test_a_small_arm_says_nothing(treated, control):
    assert compare(Arm(treated, 0), Arm(control, 0)) is None


def test_nobody_came_is_no_certainty():
    lift = compare(Arm(100, 0), Arm(100, 0))

    assert (lift.per_hundred, lift.is_certain, round(lift.low, 2), round(lift.high, 2)) == (
        0,
        False,
        -3.7,
        3.7,
    )


@pytest.mark.parametrize(
    ("treated", "control", "words"),
    [
        (
            Arm(120, 30), Arm(100, 9),
            "Of every hundred, the coupon brings 16 people more (most likely between 6 and 25).",
        ),
        (
            Arm(100, 9), Arm(120, 30),
            "Of every hundred, 16 people fewer come with the coupon"
            " (most likely between \u221225 and \u22126).",
        ),
        (
            Arm(100, 10), Arm(100, 9),
            "No difference that chance could not explain (most likely between \u22128 and 10).",
        ),
        (
            Arm(99, 10), Arm(100, 9),
            "It is too early to say: for that each group needs a hundred people or more.",
        ),
    ],
)  # fmt: skip
def test_a_verdict_in_words(treated, control, words):
    with translation.override("en"):
        assert lift_words(compare(treated, control)) == words
