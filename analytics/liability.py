"""What members hold and what becomes of it, from the ledger's facts. Plain values, bonuses as Decimal.

Facts are kept two years, a bonus lives shorter, so every live lot is there whole. Every read raises
ClickHouseUnavailable when ClickHouse does not answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from uuid import UUID

from analytics.clickhouse.queries import ask, local_days, read_query
from svoykrug.money import ZERO


@dataclass(frozen=True)
class Held:
    """Bonuses of one issuer that were given so many whole months ago, counted by local days."""

    issuer_id: UUID
    months_old: int
    bonuses: Decimal


@dataclass(frozen=True)
class BreakagePoint:
    """What had become of the bonuses of a span so many whole months after they were given, by local days.

    Each sum counts from the beginning on. `redeemed` is net of what refunds gave back; `taken_back` is
    what refunds of the purchases behind the bonuses took.
    """

    months_later: int
    redeemed: Decimal
    expired: Decimal
    taken_back: Decimal


@dataclass(frozen=True)
class Breakage:
    """The bonuses given in a span, and the curve of what became of them; months without change left out."""

    given: Decimal
    curve: tuple[BreakagePoint, ...]

    @property
    def expired_percent(self) -> Decimal | None:
        """Of what was given and not taken back, the part that lapsed; None where nothing was given."""
        last = self.curve[-1] if self.curve else None
        kept = self.given - last.taken_back if last else ZERO
        return last.expired * 100 / kept if last and kept else None


def liability(business_ids: Collection[UUID] | None, *, on: date) -> tuple[Held, ...]:
    """Return what members hold at the beginning of the local day `on`, by issuer and age.

    A lot that lapsed counts until the night's job has written its entry.
    """
    params = local_days(on, on) | {"on": on.isoformat()}
    return tuple(Held(*row) for row in ask(read_query("liability"), params, business_ids=business_ids))


def breakage(business_ids: Collection[UUID] | None, *, start: date, end: date) -> Breakage:
    """Return what became until now of the bonuses given on the local days [start, end)."""
    rows = ask(read_query("breakage"), local_days(start, end), business_ids=business_ids)
    months, given, *changes = zip(*rows, strict=True) if rows else ((),) * 5
    sums = [accumulate(change) for change in changes]
    return Breakage(given=sum(given, ZERO), curve=tuple(map(BreakagePoint, months, *sums)))
