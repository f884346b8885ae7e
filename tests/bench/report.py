"""The table on the screen and .local/bench.json."""

import json
from typing import Any

from tests.bench.machine import ROOT
from tests.bench.registry import Result

FILE = ROOT / ".local" / "bench.json"
COLUMNS = ("figure", "value", "unit", "yardstick", "ratio", "goal", "ok")


def table(results: dict[str, Result]) -> str:
    """Return the results as a Markdown table, the notes beneath it."""
    rows = [COLUMNS, tuple("---" for _column in COLUMNS)]
    for name, result in results.items():
        rows.append(
            (
                name, _number(result.value), result.unit, _number(result.yardstick),
                "–" if result.ratio is None else f"{result.ratio:.2f}", result.goal,
                {True: "yes", False: "no", None: "–"}[result.ok],
            )
        )  # fmt: skip
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    notes = [f"{name}: {result.note}" for name, result in results.items() if result.note]
    return "\n".join([*lines, "", *notes])


def write(machine: dict[str, Any], commit: str, results: dict[str, Result]) -> None:
    stored = {name: result.stored() for name, result in results.items()}
    body = {"machine": machine, "commit": commit, "results": stored}
    FILE.write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
