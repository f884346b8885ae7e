"""Who will buy again, how often and for how much: BG/NBD and Gamma-Gamma, fitted by maximum likelihood.

BG/NBD: P. S. Fader, B. G. S. Hardie, K. L. Lee, «"Counting Your Customers" the Easy Way: An Alternative to
the Pareto/NBD Model», Marketing Science 24 (2005), 275-284. Gamma-Gamma: P. S. Fader, B. G. S. Hardie,
«The Gamma-Gamma Model of Monetary Value» (2013), note 25 at brucehardie.com.

Arithmetic alone: no database, no Django. Only what fits imports it, and there inside a function, so that
web processes never load NumPy and SciPy. Why our own lines: docs/decisions/0021.

Unit of time: the week. Roubles are floats here, for they are estimates and no money.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaincinv, betaln, gammaln

Column = NDArray[np.float64]

# Three and four numbers are drawn from people who came back: of fewer they would tell of chance.
FEWEST_REPEAT_BUYERS = 50
# Parameters are sought by their logarithms within these: beyond, one model is as good as another.
LOWEST, HIGHEST = -9.0, 9.0
# Of Gauss and Legendre's rule over the quantiles of the beta distribution: five digits and more.
NODES = 64
SMALLEST = 1e-12


class NotEnoughData(Exception):
    """Too few came back, or what they did fits no model: nothing honest can be said."""


@dataclass(frozen=True)
class Histories:
    """What each customer did, one place a customer in columns of equal length.

    repeats     days with a purchase after the first such day, 0 or more
    last_weeks  from the first to the last of them; 0 where there is one
    age_weeks   from the first to the end of what was looked at, at least `last_weeks`
    mean_rub    of the repeat days, what was spent a day, above zero; of no meaning without repeats
    """

    repeats: Column
    last_weeks: Column
    age_weeks: Column
    mean_rub: Column

    def __post_init__(self) -> None:
        columns = (self.repeats, self.last_weeks, self.age_weeks, self.mean_rub)
        if len({column.shape for column in columns}) != 1 or self.repeats.ndim != 1:
            raise ValueError("Histories are columns of one length.")
        if np.any(self.repeats < 0) or np.any(self.last_weeks > self.age_weeks):
            raise ValueError("Nobody buys less than never, or after the end.")
        if np.any(self.mean_rub[self.came_back] <= 0):
            raise ValueError("A repeat purchase is worth more than nothing.")

    @property
    def came_back(self) -> NDArray[np.bool_]:
        return self.repeats > 0


@dataclass(frozen=True)
class BgNbd:
    """Purchases come at a rate of one's own, gamma (r, α weeks); after each one may leave, beta (a, b)."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def chance_active(self, past: Histories) -> Column:
        """Return each one's chance to be a customer still; 1 after a single purchase, as nobody left yet."""
        x = past.repeats
        log_odds = (
            np.log(self.a)
            - np.log(self.b + np.maximum(x, 1) - 1)
            + (self.r + x) * np.log((self.alpha + past.age_weeks) / (self.alpha + past.last_weeks))
        )
        # As the logarithm of 1 + odds: after hundreds of purchases and a long silence odds overflow.
        return np.where(x > 0, np.exp(-np.logaddexp(0, log_odds)), 1.0)

    def chance_of_return(self, past: Histories, *, weeks: float) -> Column:
        """Return each one's chance to buy at least once in the `weeks` to come.

        Who is active buys at a rate from gamma (r + x, α + T), so stays away with
        ((α + T) / (α + T + t)) ** (r + x).
        """
        known = self.alpha + past.age_weeks
        stays_away = (self.r + past.repeats) * np.log(known / (known + weeks))
        return self.chance_active(past) * -np.expm1(stays_away)

    def expected_purchases(self, past: Histories, *, weeks: float) -> Column:
        """Return the expected number of days with a purchase in the `weeks` to come (2005, equation 10).

        Computed as the mean it comes from and not by its hypergeometric function, whose terms overflow or
        cancel for some parameters: who is active leaves with p from beta (a, b + x) after a purchase and so
        buys (1 - ((α + T) / (α + T + p t)) ** (r + x)) / p times.
        """
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        counts, who = np.unique(past.repeats, return_inverse=True)
        known, shape = self.alpha + past.age_weeks, self.r + past.repeats
        mean = np.zeros_like(known)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            leaves = np.maximum(betaincinv(self.a, self.b + counts, node), SMALLEST)[who]
            mean += weight * -np.expm1(-shape * np.log1p(leaves * weeks / known)) / leaves
        return self.chance_active(past) * mean


@dataclass(frozen=True)
class GammaGamma:
    """What one spends a time is gamma (p, ν), with ν of one's own from gamma (q, γ ₽)."""

    p: float
    q: float
    gamma: float

    def expected_rub(self, past: Histories) -> Column:
        """Return the expected sum of a purchase of each: between one's own mean and everybody's."""
        x = past.repeats
        own = np.where(x > 0, x * past.mean_rub, 0.0)
        return self.p * (self.gamma + own) / (self.p * x + self.q - 1)


def fit_bg_nbd(past: Histories) -> BgNbd:
    """Return the likeliest parameters. Raises NotEnoughData."""
    _enough(past)
    x, last, age = past.repeats, past.last_weeks, past.age_weeks
    earlier = np.maximum(x, 1) - 1

    def likelihood(r: float, alpha: float, a: float, b: float) -> Column:
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
        active = -(r + x) * np.log(alpha + age)
        left = np.log(a) - np.log(b + earlier) - (r + x) * np.log(alpha + last)
        return common + np.logaddexp(active, np.where(x > 0, left, -np.inf))

    found, value = _likeliest(likelihood, start=(1.0, 1.0, 1.0, 1.0))
    return BgNbd(*found, log_likelihood=value)


def fit_gamma_gamma(past: Histories) -> GammaGamma:
    """Return the likeliest parameters, of those who came back. Raises NotEnoughData."""
    _enough(past)
    x, z = past.repeats[past.came_back], past.mean_rub[past.came_back]
    scale = float(np.mean(z))
    z = z / scale  # Whatever the money, the search begins near its end.

    def likelihood(p: float, q: float, gamma: float) -> Column:
        return (
            gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma)
            + (p * x - 1) * np.log(z) + p * x * np.log(x) - (p * x + q) * np.log(gamma + x * z)
        )  # fmt: skip

    (p, q, gamma), _ = _likeliest(likelihood, start=(1.0, 2.0, 1.0))
    if q <= 1:
        # Then the mean of all is infinite, and a newcomer's expected purchase with it.
        raise NotEnoughData("A few purchases are so large that no mean can be told.")
    return GammaGamma(p, q, gamma * scale)


def _enough(past: Histories) -> None:
    if np.count_nonzero(past.came_back) < FEWEST_REPEAT_BUYERS:
        raise NotEnoughData("Too few came back.")


def _likeliest(
    likelihood: Callable[..., Column], *, start: tuple[float, ...]
) -> tuple[tuple[float, ...], float]:
    """Return parameters above zero, and the log-likelihood that they give all customers together."""

    def loss(logarithms: Column) -> float:
        # A mean and not the sum, so that the search stops alike for a hundred people and a million.
        return -float(np.mean(likelihood(*np.exp(logarithms))))

    found = minimize(
        loss, np.log(start), method="L-BFGS-B", bounds=[(LOWEST, HIGHEST)] * len(start),
        options={"ftol": 1e-13, "gtol": 1e-7},
    )  # fmt: skip
    parameters = np.exp(found.x)
    total = float(np.sum(likelihood(*parameters)))
    # Stopping for want of precision is no failure: the loss could not be lowered any more.
    if found.status not in (0, 2) or not np.isfinite(total):
        raise NotEnoughData("No parameters fit these purchases.")
    return tuple(map(float, parameters)), total
