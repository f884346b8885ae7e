"""Both intervals against published worked examples, and at the edges."""

from decimal import Decimal as D
from math import pi, sqrt, tan

import pytest

from analytics.intervals import Interval, Sample, newcombe, t_quantile, welch, wilson

# Newcombe 1998, Statistics in Medicine 17:873-890, Table II: examples (a) to (h) by method 10.
TABLE_II = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0000)),
    ((10, 10, 0, 10), (0.6075, 1.0000)),
]
# Student 1908, «The probable error of a mean», hours of sleep gained by two soporifics: R's data set `sleep`.
SLEEP = (
    ["0.7", "-1.6", "-0.2", "-1.2", "-0.1", "3.4", "3.7", "0.8", "0.0", "2.0"],
    ["1.9", "0.8", "1.1", "0.1", "-0.1", "4.4", "5.5", "1.6", "4.6", "3.4"],
)
# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, upper critical values of Student's t.
NIST = {
    1: (6.314, 12.706, 31.821, 63.657),
    2: (2.920, 4.303, 6.965, 9.925),
    3: (2.353, 3.182, 4.541, 5.841),
    5: (2.015, 2.571, 3.365, 4.032),
    10: (1.812, 2.228, 2.764, 3.169),
    20: (1.725, 2.086, 2.528, 2.845),
    30: (1.697, 2.042, 2.457, 2.750),
    60: (1.671, 2.000, 2.390, 2.660),
    100: (1.660, 1.984, 2.364, 2.626),
}


def sample(values: list[str]) -> Sample:
    numbers = [D(value) for value in values]
    return Sample(len(numbers), sum(numbers, D(0)), sum((number**2 for number in numbers), D(0)))


@pytest.mark.parametrize(("counts", "limits"), TABLE_II)
def test_newcombe_is_the_published_one(counts, limits):
    interval = newcombe(*counts)

    assert (round(interval.low, 4), round(interval.high, 4)) == limits
    assert interval.estimate == counts[0] / counts[1] - counts[2] / counts[3]


def test_newcombe_turns_round_with_its_arms():
    there, back = newcombe(5, 56, 0, 29), newcombe(0, 29, 5, 56)

    assert (there.low, there.high) == (-back.high, -back.low)


@pytest.mark.parametrize("counts", [(0, 0, 1, 2), (1, 2, 0, 0)])
def test_a_share_of_nobody_is_refused(counts):
    with pytest.raises(ValueError, match="at least one observation"):
        newcombe(*counts)


@pytest.mark.parametrize(("successes", "number"), [(0, 1), (1, 1), (0, 500), (500, 500)])
def test_wilson_stays_between_nobody_and_everybody(successes, number):
    low, high = wilson(successes, number)

    assert 0 <= low <= successes / number <= high <= 1
    assert low < high


def test_welch_is_the_published_one():
    # R's `t.test(extra ~ group, data = sleep)`: t = -1.8608, df = 17.776, -3.3654832 to 0.2054832.
    interval = welch(*map(sample, SLEEP))

    assert round(interval.estimate, 10) == -1.58
    assert (round(interval.low, 7), round(interval.high, 7)) == (-3.3654832, 0.2054832)
    assert not interval.leaves_out_zero


def test_welch_of_equal_revenue_has_no_width():
    equal, other = sample(["120.00"] * 7), sample(["100.00"] * 3)

    assert welch(equal, equal) == Interval(0.0, 0.0, 0.0)
    assert welch(equal, other) == Interval(20.0, 20.0, 20.0)


def test_one_member_has_no_variance():
    for samples in ((SLEEP[0][:1], SLEEP[1]), (SLEEP[0], SLEEP[1][:1])):
        with pytest.raises(ValueError, match="at least two observations"):
            welch(*map(sample, samples))


def test_a_variance_survives_large_sums():
    # 10^9 apart from zero and a kopeck from each other: in floats the squares would swallow the kopeck.
    near = sample(["1000000000.00", "1000000000.01", "1000000000.02"])

    assert near.variance == pytest.approx(0.0001, rel=1e-12)


@pytest.mark.parametrize("freedom", NIST)
def test_the_t_quantile_is_the_tables(freedom):
    found = [t_quantile(probability, freedom) for probability in (0.95, 0.975, 0.99, 0.995)]

    assert tuple(round(value, 3) for value in found) == NIST[freedom]


@pytest.mark.parametrize("probability", [0.51, 0.75, 0.9, 0.975, 0.995, 0.9999])
def test_the_t_quantile_is_exact_where_a_formula_is_known(probability):
    p = probability
    # Of 1 and 2 degrees the distribution has a closed form; of 4 so has its quantile (Shaw 2006).
    assert t_quantile(p, 1) == pytest.approx(tan(pi * (p - 0.5)), rel=1e-9)
    assert t_quantile(p, 2) == pytest.approx((2 * p - 1) * sqrt(2 / (4 * p * (1 - p))), rel=1e-9)


def test_the_t_quantile_between_whole_degrees_and_far_out():
    between = [t_quantile(0.975, freedom) for freedom in (17, 17.776, 18)]
    assert between == sorted(between, reverse=True)
    # Abramowitz and Stegun 26.7.10: the normal quantile and the first terms of its expansion.
    z = 1.959963984540054
    for freedom in (1e4, 1e6, 9.9e6):
        expected = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        assert t_quantile(0.975, freedom) == pytest.approx(expected, abs=1e-7)
    assert t_quantile(0.975, 1e9) == pytest.approx(z, abs=1e-12)


@pytest.mark.parametrize(("probability", "freedom"), [(0.5, 5), (1.0, 5), (0.975, 0.5)])
def test_a_quantile_that_is_never_asked_for_is_refused(probability, freedom):
    with pytest.raises(ValueError, match="above a half"):
        t_quantile(probability, freedom)
