"""Geometry of the admin's charts as plain values; templates only draw them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

HEIGHT = 100.0
GAP = 0.24  # Of a bar's place.
FEWEST_POINTS = 3


@dataclass(frozen=True)
class Bar:
    """One bar in a picture 100 high and as wide as there are bars; `whole` tells a full week or month."""

    label: str
    value: Decimal
    x: float
    y: float
    width: float
    height: float
    whole: bool


@dataclass(frozen=True)
class BarChart:
    bars: tuple[Bar, ...]
    top: Decimal
    best: Bar | None

    @property
    def is_worth_drawing(self) -> bool:
        return sum(bar.value != 0 for bar in self.bars) >= FEWEST_POINTS

    @property
    def has_parts(self) -> bool:
        return not all(bar.whole for bar in self.bars)


def draw_bars(values: Iterable[tuple[str, Decimal, bool]]) -> BarChart:
    """Return a bar for each (label, value, whole), the highest of them 100 high."""
    rows = list(values)
    top = max([*(value for _label, value, _whole in rows), Decimal(0)])
    bars = []
    for place, (label, value, whole) in enumerate(rows):
        # What is below zero has no bar; its sum stands in the table.
        height = float(max(value, Decimal(0)) / top) * HEIGHT if top else 0.0
        bars.append(
            Bar(
                label=label,
                value=value,
                x=round(place + GAP / 2, 2),
                y=round(HEIGHT - height, 2),
                width=1 - GAP,
                height=round(height, 2),
                whole=whole,
            )
        )
    complete = [bar for bar in bars if bar.whole and bar.value > 0]
    return BarChart(tuple(bars), top, max(complete, key=lambda bar: bar.value, default=None))


@dataclass(frozen=True)
class Line:
    """A line in a picture 100 by 100: `points` as SVG writes them, `last` where its name may stand."""

    label: str
    values: tuple[Decimal, ...]
    points: str
    last: tuple[float, float]


@dataclass(frozen=True)
class LineChart:
    """Lines over the same places, from zero to `top`."""

    lines: tuple[Line, ...]
    top: Decimal
    places: tuple[str, ...]

    @property
    def is_worth_drawing(self) -> bool:
        return len(self.places) >= FEWEST_POINTS and self.top > 0


def draw_lines(
    series: Iterable[tuple[str, Sequence[Decimal]]], places: Sequence[str], *, top: Decimal | None = None
) -> LineChart:
    """Return a line for each (label, values), a value for each of the places from the first on.

    top  what the upper edge stands for; the largest value if not given
    """
    rows = [(label, tuple(values)) for label, values in series]
    if top is None:
        top = max((value for _, values in rows for value in values), default=Decimal(0))
    step = 100 / max(len(places) - 1, 1)
    lines = []
    for label, values in rows:
        spots = [
            (round(place * step, 2), round(100 - float(value / top) * 100, 2) if top else 100.0)
            for place, value in enumerate(values)
        ]
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in spots)
        lines.append(Line(label, values, points, spots[-1] if spots else (0.0, 100.0)))
    return LineChart(tuple(lines), top, tuple(places))
