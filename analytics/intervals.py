"""Confidence intervals of a difference, with no database and no library beyond the standard one.

Both are of 95 per cent, and both take sums that SQL can give, so nobody's row need leave the server.
Why not SciPy: docs/decisions/0014-what-a-chain-brings.md.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import exp, inf, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
# Beyond this many degrees of freedom Student's quantile is the normal one to seven digits.
NEARLY_NORMAL = 1e7
SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where the true value most likely lies, in the unit of what was compared."""

    estimate: float
    low: float
    high: float

    @property
    def leaves_out_zero(self) -> bool:
        """Whether chance alone hardly explains the difference."""
        return self.low > 0 or self.high < 0

    def times(self, factor: float) -> "Interval":
        """Return it in another unit; the factor is above zero."""
        return Interval(self.estimate * factor, self.low * factor, self.high * factor)

    def plus(self, known: float) -> "Interval":
        """Return it moved by a sum that is known exactly."""
        return Interval(self.estimate + known, self.low + known, self.high + known)


@dataclass(frozen=True, slots=True)
class Sample:
    """Observations by their number, sum and sum of squares."""

    number: int
    total: Decimal
    squares: Decimal

    @property
    def mean(self) -> float:
        return float(self.total / self.number)

    @property
    def variance(self) -> float:
        """The unbiased one; takes two observations or more."""
        # Exactly: in floats the difference of two nearly equal sums could lose every digit.
        with localcontext(prec=60):
            spread = self.squares - self.total * self.total / self.number
            return max(float(spread / (self.number - 1)), 0.0)


def wilson(successes: int, number: int) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927); `number` is above zero."""
    share, z2 = successes / number, Z * Z
    centre = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = Z * sqrt(share * (1 - share) / number + z2 / (4 * number * number)) / (1 + z2 / number)
    # Of nobody and of everybody the last binary digit may fall on the wrong side.
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def newcombe(successes: int, number: int, control_successes: int, control_number: int) -> Interval:
    """Return the interval of the difference of two independent proportions, first less second.

    Method 10 of R. G. Newcombe, «Interval estimation for the difference between independent proportions»,
    Statistics in Medicine 17 (1998), 873-890: the hybrid of two score intervals, without a continuity
    correction. Unlike the plain normal one it stays sane when nobody came, or everybody.
    Raises ValueError where either has no observation.
    """
    if number < 1 or control_number < 1:
        raise ValueError("A proportion takes at least one observation.")
    first, second = successes / number, control_successes / control_number
    (low_1, high_1), (low_2, high_2) = (
        wilson(successes, number), wilson(control_successes, control_number),
    )  # fmt: skip
    gap = first - second
    return Interval(
        gap,
        gap - sqrt((first - low_1) ** 2 + (high_2 - second) ** 2),
        gap + sqrt((high_1 - first) ** 2 + (second - low_2) ** 2),
    )


def welch(first: Sample, second: Sample) -> Interval:
    """Return the interval of the difference of two means, first less second, variances not held equal.

    B. L. Welch, «The generalization of "Student's" problem when several different population variances are
    involved», Biometrika 34 (1947), 28-35, with the degrees of freedom of Satterthwaite (1946).
    Two samples of equal values each have an interval of no width.
    Raises ValueError where either has fewer than two observations.
    """
    if first.number < 2 or second.number < 2:
        raise ValueError("A variance takes at least two observations.")
    gap = first.mean - second.mean
    parts = [(each.variance / each.number, each.number - 1) for each in (first, second)]
    squared = sum(part for part, _ in parts)
    if squared <= 0:
        return Interval(gap, gap, gap)
    freedom = squared**2 / sum(part**2 / degrees for part, degrees in parts)
    half = t_quantile((1 + LEVEL) / 2, freedom) * sqrt(squared)
    return Interval(gap, gap - half, gap + half)


def t_quantile(probability: float, freedom: float) -> float:
    """Return the value that Student's t stays below with this probability, to 1e-7.

    probability  above a half and below 1
    freedom      degrees, 1 or more, not necessarily whole

    Newton's method from the normal quantile. That one is too small, and above zero the distribution bends
    downwards, so every step falls short and the steps cannot overshoot.
    """
    if not 0.5 < probability < 1 or freedom < 1:
        raise ValueError("A probability above a half and below 1, and one degree or more.")
    value = NormalDist().inv_cdf(probability)
    if freedom > NEARLY_NORMAL:
        return value
    beyond, step = 1 - probability, inf
    while step > 1e-11 * value:
        step = (_t_tail(value, freedom) - beyond) / _t_density(value, freedom)
        value += step
    return value


def _t_density(value: float, freedom: float) -> float:
    scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - log(freedom * pi) / 2
    return exp(scale - (freedom + 1) / 2 * log1p(value * value / freedom))


def _t_tail(value: float, freedom: float) -> float:
    """Return the probability of more than `value`, itself above zero."""
    return _incomplete_beta(freedom / (freedom + value * value), freedom / 2, 0.5) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function, 0 < x < 1 (NIST DLMF 8.17)."""
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    # The fraction settles fast on this side; the other one mirrors it (8.17.4).
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction 8.17.22 of NIST DLMF, from the front by Lentz's method."""
    value = upper = 1.0
    lower, place, change = 0.0, 0, inf
    while abs(change - 1) > 1e-15:
        place += 1
        m = place // 2
        if place % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        upper = (1 + term / upper) or SMALLEST
        lower = 1 / ((1 + term * lower) or SMALLEST)
        change = upper * lower
        value *= change
    return 1 / value
