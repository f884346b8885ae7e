"""What the nightly forecasts say, as plain values.

Each forecast is of one business or of the programme: parameters of two businesses do not add up. Reads of
customers raise ClickHouseUnavailable when ClickHouse does not answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from analytics.clickhouse.queries import NOBODY, ask, milliseconds, read_query
from analytics.models import ForecastRun

# Under this chance of return a regular is about to be lost.
SLIPPING = Decimal("0.4")


class First(StrEnum):
    """Who stands on top of the list of people."""

    VALUE = "value"  # Of whom most is expected.
    SLIPPING = "slipping"  # Who came back and spent most, and hardly will again.


ORDER = {First.VALUE: "expected_value", First.SLIPPING: "spent"}
WHICH = {First.VALUE: "1", First.SLIPPING: f"purchase_days > 1 AND return_chance < {SLIPPING}"}


@dataclass(frozen=True)
class Step:
    """Customers whose chance of return is `number` to `number` + 1 tenths, and what all of them will do.

    expected_back  how many of them will buy at least once
    """

    number: int
    members: int
    expected_back: float
    expected_purchases: float
    expected_rub: Decimal


@dataclass(frozen=True)
class Foretold:
    """A customer: what was, and what is expected within the run's days.

    return_chance  to buy at least once, 0 to 1;  purchase_rub  the expected sum of one purchase day
    """

    member_id: UUID
    purchase_days: int
    silent_days: int
    spent_rub: Decimal
    return_chance: float
    expected_purchases: float
    purchase_rub: Decimal
    expected_rub: Decimal


def forecast_of(business_id: UUID | None) -> ForecastRun | None:
    """Return the run of a business or, of None, of the programme; None before the first night."""
    return ForecastRun.objects.filter(business=business_id).first()


def forecasts_of(business_ids: Collection[UUID] | None) -> list[ForecastRun]:
    """Return the runs a reader may see, the programme's first and then by name; None means all."""
    runs = ForecastRun.objects.select_related("business").order_by("business__name")
    if business_ids is not None:
        runs = runs.filter(business__in=business_ids)
    return sorted(runs, key=lambda run: run.business_id is not None)


def steps(run: ForecastRun) -> tuple[Step, ...]:
    """Return the steps with customers in them, from the smallest chance; none where nothing is foretold."""
    return tuple(Step(*row) for row in _ask(run, read_query("forecast_steps"), {}))


def first_people(run: ForecastRun, first: First = First.VALUE, *, limit: int = 50) -> tuple[Foretold, ...]:
    """Return the customers who come first."""
    query = read_query("forecast_people", first=ORDER[first], which=WHICH[first])
    return tuple(Foretold(*row) for row in _ask(run, query, {"limit": limit}))


def _ask(run: ForecastRun, query: str, params: dict[str, Any]) -> Collection[tuple[Any, ...]]:
    if not run.is_ready:
        return ()
    own = None if run.business_id is None else [run.business_id]
    params |= {"of": str(run.business_id or NOBODY), "calculated_at": milliseconds(run.calculated_at)}
    return ask(query, params, business_ids=own)
