"""Geometry of the reports' charts as plain values; templates only draw them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.utils.formats import date_format

from analytics.comparison import Outcome
from analytics.periods import Period, short_day
from analytics.selectors import Step
from svoykrug.charts import BarChart, draw_bars

HEAT_STEPS = 8


@dataclass(frozen=True)
class ArmBar:
    """An arm's share of members who came, and its interval, in per cent of the members and of the picture.

    `x`, `low`, `high` are places on a picture 100 wide.
    """

    treated: bool
    share: Decimal
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class ArmBars:
    """Both arms on one scale that begins at nobody and ends at `top` per cent."""

    bars: tuple[ArmBar, ...]
    top: int


def arm_bars(outcome: Outcome) -> ArmBars | None:
    """Return a bar for each arm with its own interval, or None where one has no members."""
    arms = (outcome.treated, outcome.control)
    if not all(arm.members for arm in arms):
        return None
    shares = [arm.share_interval for arm in arms]
    # The scale ends at the next ten, so that neighbouring reports compare by eye.
    top = -int(-max(share.high for share in shares) * 10 // 1) * 10
    return ArmBars(
        tuple(
            ArmBar(
                treated=arm is outcome.treated,
                share=Decimal(100 * share.estimate).quantize(Decimal("0.1")),
                x=round(100 * 100 * share.estimate / top, 2),
                low=round(100 * 100 * share.low / top, 2),
                high=round(100 * 100 * share.high / top, 2),
            )
            for arm, share in zip(arms, shares, strict=True)
        ),
        top,
    )


def step_of(period: Period) -> Step:
    if period.days <= 31:
        return Step.DAY
    return Step.WEEK if period.days <= 120 else Step.MONTH


def bar_chart(sums: Mapping[date, Decimal], period: Period) -> BarChart:
    """Return a bar for each day, week or month of the period, those without a purchase too."""
    step = step_of(period)
    return draw_bars(
        (
            _label(first, following, step),
            sums.get(first, Decimal("0.00")),
            first >= period.start and following <= period.end,
        )
        for first, following in _spans(period, step)
    )


def heat(value: float, largest: float) -> int:
    """Return the step of the ramp from paper (0, nothing) to berry."""
    if value <= 0 or largest <= 0:
        return 0
    return max(1, min(HEAT_STEPS, -int(-HEAT_STEPS * value // largest)))


def _spans(period: Period, step: Step) -> list[tuple[date, date]]:
    first = period.start
    if step is Step.WEEK:
        first -= timedelta(days=first.weekday())
    elif step is Step.MONTH:
        first = first.replace(day=1)
    spans = []
    while first < period.end:
        following = _next(first, step)
        spans.append((first, following))
        first = following
    return spans


def _next(first: date, step: Step) -> date:
    if step is Step.MONTH:
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if step is Step.WEEK else 1)


def _label(first: date, following: date, step: Step) -> str:
    if step is Step.MONTH:
        return date_format(first, "F Y")
    if step is Step.WEEK:
        return f"{short_day(first)} – {short_day(following - timedelta(days=1))}"
    return short_day(first)
