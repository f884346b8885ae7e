"""The hold-out's verdict: what it takes, what it says, and what is left after costs."""

from decimal import Decimal

import pytest
from django.utils import translation

from analytics.comparison import Arm, Lacking, Outcome, Uplift
from analytics.intervals import Interval
from analytics.wording import lacking_words, visits_words


def arm(members: int, visits: int, bill: int = 300) -> Arm:
    """An arm whose visitors spent the same each."""
    return Arm(members, visits, Decimal(bill * visits), Decimal(bill * bill * visits))


@pytest.mark.parametrize(
    ("treated", "control", "lacking"),
    [
        (arm(0, 0), arm(0, 0), Lacking.MEMBERS),
        (arm(99, 20), arm(100, 20), Lacking.MEMBERS),
        (arm(100, 20), arm(99, 20), Lacking.MEMBERS),
        (arm(500, 20), arm(0, 0), Lacking.MEMBERS),
        (arm(1, 1), arm(1, 1), Lacking.MEMBERS),
        (arm(100, 4), arm(100, 20), Lacking.CELL),
        (arm(100, 20), arm(100, 4), Lacking.CELL),
        (arm(100, 0), arm(100, 0), Lacking.CELL),
        (arm(100, 96), arm(100, 20), Lacking.CELL),
        (arm(100, 100), arm(100, 100), Lacking.CELL),
        (arm(100, 5), arm(100, 95), None),
    ],
)
def test_too_little_says_nothing(treated, control, lacking):
    outcome = Outcome(treated, control)

    assert outcome.lacking == lacking
    assert (outcome.uplift is None, outcome.extra_revenue is None, outcome.net is None) == (
        (lacking is not None,) * 3
    )


def test_the_uplift_is_per_member_and_the_net_after_the_discount_the_target_bears():
    outcome = Outcome(
        arm(200, 40), arm(100, 10), discount_rub=Decimal("1000.00"), covered_rub=Decimal("300.00")
    )

    assert outcome.uplift
    assert round(outcome.uplift.visits.estimate, 10) == 0.1
    # 60 ₽ a member against 30 ₽.
    assert outcome.uplift.revenue.estimate == 30.0
    assert outcome.extra_revenue.estimate == 6000.0
    assert outcome.net.estimate == 5300.0
    assert round(outcome.net.high - outcome.extra_revenue.high, 6) == -700.0


def test_an_empty_arm_divides_by_nothing():
    assert (Arm().share, Arm().revenue_per_member) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("visits", "words"),
    [
        (Interval(0.05, 0.014, 0.086), "The coupon brought between 1 and 9 more visits per 100 members."),
        (Interval(0.05, 0.004, 0.086), "The coupon brought between 0.4 and 9 more visits per 100 members."),
        (
            Interval(0.05, 0.0461, 0.0539),
            "The coupon brought between 4.6 and 5.4 more visits per 100 members.",
        ),
        (
            Interval(-0.05, -0.086, -0.014),
            "With the coupon there were between 1 and 9 fewer visits per 100 members.",
        ),
        (
            Interval(0.03, -0.026, 0.086),
            "It may be chance: per 100 members the coupon brought anything from 3 fewer visits to 9 more.",
        ),
    ],
)
def test_the_finding_in_words(visits, words):
    with translation.override("en"):
        assert visits_words(Uplift(visits=visits, revenue=Interval(0, 0, 0))) == words


@pytest.mark.parametrize(
    ("treated", "control", "words"),
    [
        (arm(163, 9), arm(37, 3), "Not enough data yet: 37 of 100 members without a coupon."),
        (arm(12, 9), arm(37, 3), "Not enough data yet: 12 of 100 members with a coupon."),
        (
            arm(100, 20), arm(100, 4),
            "Not enough data yet: in each group at least 5 must have come, and as many not.",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_in_words(treated, control, words):
    with translation.override("en"):
        assert lacking_words(Outcome(treated, control)) == words
