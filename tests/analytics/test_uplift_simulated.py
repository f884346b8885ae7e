"""Chains simulated two thousand times: nothing is found where nothing is, and a planted effect is."""

import random
from decimal import Decimal

import pytest

from analytics.comparison import Arm, Outcome

RUNS = 2_000


def simulated_arm(generator: random.Random, *, members: int, share: float) -> Arm:
    """Members of whom each comes with that probability and then spends as in shops: few of them much."""
    revenue = [
        Decimal(round(generator.lognormvariate(6.5, 0.8), 2)).quantize(Decimal("0.01"))
        for _ in range(members)
        if generator.random() < share
    ]
    squares = sum((each * each for each in revenue), Decimal(0))
    return Arm(members, len(revenue), sum(revenue, Decimal(0)), squares)


@pytest.mark.parametrize(
    ("treated", "control", "share", "seed"),
    [(300, 300, 0.20, 1998), (400, 200, 0.30, 1947)],
)  # fmt: skip
def test_of_two_like_arms_both_intervals_cover_zero_as_often_as_they_say(treated, control, share, seed):
    generator = random.Random(seed)
    visits = revenue = 0
    for _ in range(RUNS):
        uplift = Outcome(
            simulated_arm(generator, members=treated, share=share),
            simulated_arm(generator, members=control, share=share),
        ).uplift
        assert uplift
        visits += not uplift.visits.leaves_out_zero
        revenue += not uplift.revenue.leaves_out_zero

    assert 0.93 <= visits / RUNS <= 0.97
    assert 0.93 <= revenue / RUNS <= 0.97


def test_a_planted_effect_is_found_and_its_interval_holds_it():
    generator = random.Random(2026)
    found = covered = 0
    for _ in range(200):
        uplift = Outcome(
            simulated_arm(generator, members=900, share=0.20),
            simulated_arm(generator, members=300, share=0.08),
        ).uplift
        assert uplift
        found += uplift.visits.low > 0
        covered += uplift.visits.low <= 0.12 <= uplift.visits.high

    # Twelve visits more of a hundred are five standard errors away from none.
    assert found >= 198
    assert covered >= 184
