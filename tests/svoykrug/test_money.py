"""Rounding and splitting: parts always add up, whatever the sum and the weights."""

from decimal import Decimal as D
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svoykrug.money import allocate, percent_of, round_half_up

KOPECKS = st.integers(0, 10**12)
TOTALS = KOPECKS.map(lambda kopecks: D(kopecks).scaleb(-2))
# At least one weight above zero; all zero is the case of equal shares.
WEIGHTS = st.lists(st.integers(0, 10**10).map(lambda n: D(n).scaleb(-2)), min_size=1, max_size=40).filter(any)


def exact(total: D, weights: list[D]) -> list[Fraction]:
    whole = sum(map(Fraction, weights))
    return [Fraction(total) * Fraction(weight) / whole for weight in weights]


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("0.004", "0.00"),
        ("0.005", "0.01"),
        ("0.0049999999999", "0.00"),
        ("0.015", "0.02"),
        ("0.025", "0.03"),  # to even would give 0.02
        ("2.675", "2.68"),  # as a float it would be 2.67
        ("35", "35.00"),
        ("-0.005", "-0.01"),
    ],
)
def test_half_a_kopeck_goes_up(amount, rounded):
    assert str(round_half_up(D(amount))) == rounded


@given(KOPECKS)
def test_whole_kopecks_stay(kopecks):
    amount = D(kopecks).scaleb(-2)
    assert round_half_up(amount) == amount


def test_percent_is_not_rounded():
    assert percent_of(D("0.33"), D("3.5")) == D("0.01155")


def test_tier_percent_of_the_worked_example():
    assert round_half_up(percent_of(D("700.00"), D("5"))) == D("35.00")


@given(TOTALS, WEIGHTS)
def test_parts_add_up_to_the_total(total, weights):
    assert sum(allocate(total, weights)) == total


@given(TOTALS, WEIGHTS)
def test_each_part_is_within_a_kopeck_of_its_exact_share(total, weights):
    parts = allocate(total, weights)
    assert all(
        abs(Fraction(part) - share) < Fraction(1, 100)
        for part, share in zip(parts, exact(total, weights), strict=True)
    )


@given(TOTALS, WEIGHTS)
def test_nothing_goes_to_a_weight_of_zero(total, weights):
    parts = allocate(total, weights)
    assert {part for part, weight in zip(parts, weights, strict=True) if not weight} <= {D("0.00")}


@given(TOTALS, WEIGHTS)
def test_a_larger_weight_never_gets_less(total, weights):
    ranked = sorted(zip(weights, allocate(total, weights), strict=True))
    by_weight = {}
    for weight, part in ranked:
        by_weight.setdefault(weight, []).append(part)
    groups = list(by_weight.values())
    assert all(max(smaller) <= min(larger) for smaller, larger in pairwise(groups))


@given(TOTALS, WEIGHTS)
def test_spare_kopecks_go_to_the_largest_remainders_earlier_first(total, weights):
    # An independent allocator over exact fractions.
    shares = exact(total, weights)
    parts = [share * 100 // 1 for share in shares]
    spare = int(total * 100) - sum(parts)
    for i in sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i] * 100, i))[:spare]:
        parts[i] += 1
    assert allocate(total, weights) == [D(int(part)).scaleb(-2) for part in parts]


def test_tie_goes_to_the_earlier_part():
    assert allocate(D("0.02"), [D(1), D(1), D(1)]) == [D("0.01"), D("0.01"), D("0.00")]
    assert allocate(D("100.00"), [D(1), D(1), D(1)]) == [D("33.34"), D("33.33"), D("33.33")]


def test_tie_of_unequal_weights_goes_to_the_earlier_part():
    # Each has a third of a kopeck left over; periodic decimals cut off at some digit would differ.
    assert allocate(D("0.03"), [D(4), D(4), D(1)]) == [D("0.02"), D("0.01"), D("0.00")]


def test_order_of_the_parts_is_that_of_the_weights():
    assert allocate(D("10.00"), [D("1"), D("7"), D("2")]) == [D("1.00"), D("7.00"), D("2.00")]


def test_weights_of_zero_share_equally():
    assert allocate(D("0.05"), [D(0), D(0)]) == [D("0.03"), D("0.02")]


def test_nothing_to_allocate_over_is_refused():
    with pytest.raises(ValueError, match="nothing to allocate over"):
        allocate(D("1.00"), [])
