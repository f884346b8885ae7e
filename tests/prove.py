"""How long the proofs run, briefly among the ordinary tests, at length by `make prove`, and what they say."""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

# Asserts of these helpers show both sides; said before anything imports them.
pytest.register_assert_rewrite("tests.model.lives", "tests.model.stored")

FULL = os.environ.get("PROVE") == "full"
T = TypeVar("T")


def at_length(briefly: T, full: T) -> T:
    """Return the measure for this run."""
    return full if FULL else briefly


@pytest.fixture
def proved(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note what a proof went through, seeds included; the summary shows it."""
    return lambda text: record_property("proved", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        for name, text in report.user_properties:
            if name == "proved" and report.when == "call":
                terminalreporter.write_line(f"proved by {report.nodeid.partition('::')[2]}: {text}")
