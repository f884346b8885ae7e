"""What the hold-out tells: how many more came, and how much more they spent, than would have anyway.

The rule: specification, "Cross-promotion chains", Uplift; what is counted: docs/decisions/0014.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from analytics.intervals import Interval, Sample, newcombe, welch, wilson

# Below this an arm's share moves too much from one visit to the next.
FEWEST_PER_ARM = 100
# Below this many who came, or who did not, in an arm, the interval is not to be trusted.
FEWEST_PER_CELL = 5


@dataclass(frozen=True, slots=True)
class Arm:
    """Members of one arm, each once, their visits (a member came or did not) and revenue, ₽.

    `revenue_squares` is the sum over members of the square of each one's revenue, ₽².
    """

    members: int = 0
    visits: int = 0
    revenue_rub: Decimal = Decimal("0.00")
    revenue_squares: Decimal = Decimal("0.0000")

    @property
    def share(self) -> float:
        return self.visits / self.members if self.members else 0.0

    @property
    def share_interval(self) -> Interval:
        """The share with the interval of the arm alone; takes a member or more."""
        return Interval(self.share, *wilson(self.visits, self.members))

    @property
    def revenue_per_member(self) -> float:
        return float(self.revenue_rub / self.members) if self.members else 0.0

    @property
    def sample(self) -> Sample:
        return Sample(self.members, self.revenue_rub, self.revenue_squares)


class Lacking(StrEnum):
    """Why a comparison would say more than is known."""

    MEMBERS = "members"
    CELL = "cell"


@dataclass(frozen=True, slots=True)
class Uplift:
    """What the coupon changed: `visits` as a share of members, `revenue` in ₽ per treated member."""

    visits: Interval
    revenue: Interval


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both arms of a chain, and what its coupons cost within the time that visits are counted for.

    discount_rub  given by the coupons, refunds taken off
    covered_rub   of it, what the source pays back to the target
    still_open    members whose time is not over: in neither arm yet
    """

    treated: Arm
    control: Arm
    discount_rub: Decimal = Decimal("0.00")
    covered_rub: Decimal = Decimal("0.00")
    still_open: int = 0

    @property
    def lacking(self) -> Lacking | None:
        arms = (self.treated, self.control)
        if min(arm.members for arm in arms) < FEWEST_PER_ARM:
            return Lacking.MEMBERS
        if min(min(arm.visits, arm.members - arm.visits) for arm in arms) < FEWEST_PER_CELL:
            return Lacking.CELL
        return None

    @property
    def uplift(self) -> Uplift | None:
        """The difference of the arms, or None while there is too little to say."""
        if self.lacking:
            return None
        treated, control = self.treated, self.control
        return Uplift(
            visits=newcombe(treated.visits, treated.members, control.visits, control.members),
            revenue=welch(treated.sample, control.sample),
        )

    @property
    def extra_revenue(self) -> Interval | None:
        """The target's extra revenue from all treated members, ₽."""
        return uplift.revenue.times(self.treated.members) if (uplift := self.uplift) else None

    @property
    def net(self) -> Interval | None:
        """The target's extra revenue less the discount that it bore itself, ₽."""
        extra = self.extra_revenue
        return extra and extra.plus(float(self.covered_rub - self.discount_rub))
