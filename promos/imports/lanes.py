"""Two connections record an import side by side, each its own members, so each in the file's order."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID
from zlib import crc32

from django.db import connection

from .chunk import Chunk
from .rows import Row

# While one lane's rows are written the other's are decided; more of them only wait for each other.
LANES = 2

Record = Callable[..., Chunk]


@dataclass(frozen=True, slots=True)
class Started:
    """A chunk on its way: the line it ends at, its lanes, and the rows that wait for them."""

    last_line: int
    later: list[Row]
    parts: list[Future[Chunk]]


class Lanes:
    """Threads with a connection each. Inside a caller's transaction there is one lane: the caller itself."""

    def __init__(self) -> None:
        self.count = 1 if connection.in_atomic_block else LANES
        alone = self.count == 1
        self._threads = [] if alone else [ThreadPoolExecutor(max_workers=1) for _lane in range(LANES)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        for thread in self._threads:
            thread.submit(_close)
            thread.shutdown()

    def start(self, record: Record, parts: Sequence[tuple[Any, ...]]) -> list[Future[Chunk]]:
        """Let each lane record its part, under the caller's name and in its language."""
        if not self._threads:
            return [_recorded(record, *arguments) for arguments in parts]
        return [
            thread.submit(copy_context().run, record, *arguments)
            for thread, arguments in zip(self._threads, parts, strict=True)
        ]


def _close() -> None:
    connection.close()  # the thread's own


def _recorded(record: Record, *arguments: Any) -> Future[Chunk]:
    future: Future[Chunk] = Future()
    try:
        future.set_result(record(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


def split(rows: Sequence[Row], count: int) -> tuple[list[list[Row]], list[Row]]:
    """Return each lane's rows by member, and the rows that must wait for another lane's.

    Those name a receipt which an earlier line of another member has, so the order between them counts.
    """
    parts: list[list[Row]] = [[] for _lane in range(count)]
    later: list[Row] = []
    lane_of: dict[tuple[UUID, str], int] = {}
    for row in rows:
        # Cards that differ by letter case alone are compared with each other.
        lane = crc32(row.card.lower().encode()) % count
        receipts = [(row.business.pk, receipt) for receipt in (row.external_id, row.refund_of) if receipt]
        if any(lane_of.setdefault(receipt, lane) != lane for receipt in receipts):
            later.append(row)
        else:
            parts[lane].append(row)
    return parts, later
