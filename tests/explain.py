"""Show which index each query takes on 500,000 purchases: `.venv/bin/python tests/explain.py [--write]`.

Makes a scratch database beside the one of the settings, loads explain.sql into it, plans and runs
the query of every named index, and drops the database. `--write` puts the table into
docs/database.md; `--full NAME` prints one whole plan.
"""

import argparse
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "database.md"
START, END = "<!-- plans: written by tests/explain.py -->", "<!-- end of plans -->"

# Index → the query it is there for.
QUERIES = dict(
    re.findall(
        r"^-- (idx_\w+)\n(.+?);$",
        (ROOT / "tests" / "explain_queries.sql").read_text(),
        re.MULTILINE | re.DOTALL,
    )
)


@dataclass(frozen=True)
class Plan:
    """A plan that was run. `forced` tells that the planner had to be kept from reading a tiny table whole."""

    lines: list[str]
    forced: bool

    def node(self, index: str) -> str:
        found = next((line for line in self.lines if f" {index} " in f"{line} "), None)
        if found is None:
            raise SystemExit(f"{index} is not used by its query:\n" + "\n".join(self.lines))
        return found.strip().removeprefix("->").strip()

    @property
    def milliseconds(self) -> str:
        return self.lines[-1].removeprefix("Execution Time: ").removesuffix(" ms")


def explain(cursor, index: str) -> Plan:
    """Run the query of that index twice and keep the second, which finds its pages in memory."""
    statement = f"EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF) {QUERIES[index]}"
    for forced in (False, True):
        cursor.execute(f"SET enable_seqscan = {'off' if forced else 'on'}")
        for _run in range(2):
            cursor.execute(statement)
            plan = Plan([line for (line,) in cursor.fetchall()], forced)
        if any(index in line for line in plan.lines):
            break
    cursor.execute("RESET enable_seqscan")
    return plan


def load(cursor) -> None:
    started = time.monotonic()
    cursor.execute((ROOT / "tests" / "explain.sql").read_text())
    cursor.execute("VACUUM ANALYZE")
    print(f"loaded in {time.monotonic() - started:.0f} s", file=sys.stderr)


def write_document(rows: list[str]) -> None:
    before, rest = DOCUMENT.read_text().split(START)
    _old, after = rest.split(END)
    DOCUMENT.write_text(before + START + "\n" + "\n".join(rows) + "\n" + END + after)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/database.md")
    parser.add_argument("--full", metavar="NAME", help="print the whole plan of one index")
    options = parser.parse_args()

    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
    import django

    django.setup()
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = "svoykrug_explain"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        with connection.cursor() as cursor:
            load(cursor)
            if options.full:
                print(QUERIES[options.full], *explain(cursor, options.full).lines, sep="\n")
                return
            rows = ["| index | node of the plan | whole query, ms |", "| --- | --- | ---: |"]
            for index in sorted(QUERIES):
                plan = explain(cursor, index)
                mark = " †" if plan.forced else ""
                rows.append(f"| `{index}` | `{plan.node(index)}`{mark} | {plan.milliseconds} |")
        print("\n".join(rows))
        if options.write:
            write_document(rows)
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


if __name__ == "__main__":
    main()
