"""Measure how fast the product is, as ratios to yardsticks of the same run: `make bench`."""

import argparse
import os
import sys


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME[,NAME]", help="measure these alone")
    options = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "svoykrug.settings")
    os.environ["DEBUG"] = "false"
    import django

    django.setup()
    import svoykrug.wsgi  # noqa: F401  as the web process is: loaded whole, out of the collector's way
    from tests.bench import figures
    from tests.bench.machine import commit, machine
    from tests.bench.report import FILE, table, write
    from tests.bench.world import NotDurable, own_databases

    try:
        wanted = figures.chosen(options.only)
        here = machine()
        with own_databases():
            results = {}
            for name, run in wanted.items():
                print(f"{name} …", end=" ", file=sys.stderr, flush=True)
                results[name] = run()
                print(f"{results[name].value:,.1f} {results[name].unit}", file=sys.stderr, flush=True)
    except (figures.UnknownFigure, NotDurable) as error:
        sys.exit(str(error))
    write(here, commit(), results)
    print(", ".join(f"{name} {value}" for name, value in here.items()) + f", commit {commit()}\n")
    print(table(results))
    print(f"\nWritten to {FILE.relative_to(FILE.parent.parent)}.")


if __name__ == "__main__":
    main()
