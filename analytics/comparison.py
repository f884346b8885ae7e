"""What the hold-out tells: how many more came with a coupon than would have come without."""

from dataclasses import dataclass
from math import sqrt

# Below this an arm's share moves too much from one visit to the next.
FEWEST_PER_ARM = 100
Z95 = 1.96


@dataclass(frozen=True)
class Arm:
    members: int
    visits: int

    @property
    def share(self) -> float:
        return self.visits / self.members if self.members else 0.0


@dataclass(frozen=True)
class Lift:
    """Visits per hundred members that the coupon brought, and the interval of 95 per cent."""

    per_hundred: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out zero: chance alone hardly explains the difference."""
        return self.low > 0 or self.high < 0


def compare(treated: Arm, control: Arm) -> Lift | None:
    """Return the difference of the arms, or None while either is too small to say."""
    if min(treated.members, control.members) < FEWEST_PER_ARM:
        return None
    # Newcombe's interval: unlike the plain normal one it stays sane when nobody came.
    (low_t, high_t), (low_c, high_c) = _wilson(treated), _wilson(control)
    gap = treated.share - control.share
    low = gap - sqrt((treated.share - low_t) ** 2 + (high_c - control.share) ** 2)
    high = gap + sqrt((high_t - treated.share) ** 2 + (control.share - low_c) ** 2)
    return Lift(per_hundred=100 * gap, low=100 * low, high=100 * high)


def _wilson(arm: Arm) -> tuple[float, float]:
    n, p, z2 = arm.members, arm.share, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return centre - half, centre + half
