"""Numbered and timed steps of long commands."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Steps:
    """Print `[2/5] Migrate PostgreSQL` when a step begins and its seconds when it is done."""

    def __init__(self, write: Callable[[str], object], *, total: int, done: int = 0) -> None:
        self.write = write
        self.total = total
        self.done = done

    @contextmanager
    def __call__(self, title: str) -> Iterator[None]:
        self.done += 1
        self.write(f"[{self.done}/{self.total}] {title}")
        begun = time.monotonic()
        yield
        self.write(f"      done in {time.monotonic() - begun:.1f} s")
