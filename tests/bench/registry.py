"""The figures by name: what the contract knows of, what exists, what was asked for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# Every name that a reader of .local/bench.json may meet.
NAMES = (
    "http_purchase",
    "batch_purchase",
    "import_purchases",
    "hot_member",
    "refill",
    "sync_1000",
    "rfm_500k",
    "rfm_20m",
    "dashboard_5m",
    "api_me",
    "api_lookup",
    "api_batch_1000",
    "member_home",
    "admin_purchases",
    "admin_audit",
)


class UnknownFigure(Exception):
    """ONLY= names something that is not measured."""


@dataclass(frozen=True)
class Result:
    """One line of the table.

    value, yardstick  in `unit`; no yardstick where the goal is a plain number or its tool is missing
    ratio             how near the product comes to the yardstick: 1 is as good, more is better or, of
                      times, worse; the goal says which
    ok                None when it could not be told
    note              shown beneath the table, not stored
    """

    value: float
    unit: str
    goal: str
    ok: bool | None
    yardstick: float | None = None
    ratio: float | None = None
    note: str = ""

    def stored(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["note"]
        return {name: _rounded(value) for name, value in fields.items()}


def of_yardstick(
    value: float, yardstick: float | None, *, unit: str, goal: str, least: float, also: bool = True, note: str
) -> Result:
    """Return the result of a rate that must reach `least` of the yardstick, `also` something else."""
    ratio = value / yardstick if yardstick else None
    ok = None if ratio is None else ratio >= least and also
    return Result(value, unit, goal, ok, yardstick, ratio, note)


Figure = Callable[[], Result]
FIGURES: dict[str, Figure] = {}


def figure(run: Figure) -> Figure:
    """Register a function under its own name."""
    FIGURES[run.__name__] = run
    return run


def chosen(only: str) -> dict[str, Figure]:
    """Return the figures that ONLY=NAME[,NAME] asks for, all when it is empty.

    Raises UnknownFigure with the names there are.
    """
    existing = {name: FIGURES[name] for name in NAMES if name in FIGURES}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in existing]:
        raise UnknownFigure(f"No figure is called {', '.join(unknown)}. There are: {', '.join(existing)}.")
    return {name: run for name, run in existing.items() if not wanted or name in wanted}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
