"""A report's table, written once: as the page shows it and as its file carries it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from analytics.templatetags.roubles import whole_sum
from analytics.wording import tenths
from loyalty.templatetags.money import grouped, percent


class Kind(StrEnum):
    """What stands in a column; a share is a part of 1, None in any of them is not known."""

    TEXT = "text"
    COUNT = "count"
    RUB = "rub"
    SHARE = "share"
    ESTIMATE = "estimate"


@dataclass(frozen=True)
class Column:
    title: str
    kind: Kind = Kind.TEXT

    @property
    def is_number(self) -> bool:
        return self.kind != Kind.TEXT


@dataclass(frozen=True)
class Cell:
    text: str
    is_number: bool


@dataclass(frozen=True)
class Table:
    """`name` tells it from the page's other tables, in the address of its file."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def lines(self) -> Iterator[list[Cell]]:
        """Yield the rows as people read them."""
        for row in self.rows:
            yield [
                Cell(_shown(column.kind, value), column.is_number)
                for column, value in zip(self.columns, row, strict=True)
            ]

    def for_file(self) -> Iterator[list[str]]:
        """Yield the names of the columns and the rows, numbers as programs read them."""
        yield [column.title for column in self.columns]
        for row in self.rows:
            yield [_written(column.kind, value) for column, value in zip(self.columns, row, strict=True)]


def _shown(kind: Kind, value: Any) -> str:
    if value is None:
        return "—"
    if kind == Kind.SHARE:
        return share_shown(value)
    if kind == Kind.RUB:
        return whole_sum(value)
    if kind == Kind.ESTIMATE:
        return tenths(float(value))
    return grouped(Decimal(value)) if kind == Kind.COUNT else str(value)


def share_shown(share: Any) -> str:
    """Return a part of 1 in per cent: whole ones, below ten with a tenth."""
    value = Decimal(100 * share)
    return percent(value.quantize(Decimal(1) if value >= 10 or not value else Decimal("0.1")))


def _written(kind: Kind, value: Any) -> str:
    if value is None:
        return ""
    if kind == Kind.SHARE:
        return f"{100 * value:.1f}"
    return f"{value:.2f}" if kind in (Kind.RUB, Kind.ESTIMATE) else str(value)
