"""`manage.py prepare`: bring both databases up to date."""

import argparse
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from svoykrug.console import Steps

STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("migrate", "Bring PostgreSQL's tables up to date", {"interactive": False, "verbosity": 0}),
    ("migrate_clickhouse", "Bring ClickHouse's tables up to date", {}),
]
DEMO_STEP: tuple[str, str, dict[str, Any]] = ("demo", "Load the demo coalition if there are no data yet", {})


class Command(BaseCommand):
    help = "Bring PostgreSQL and ClickHouse up to date and, if asked, load the demo coalition. May run twice."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="load the demo if the database is empty")
        # `manage.py run` counts its own steps around these.
        parser.add_argument("--steps-done", type=int, default=0, help=argparse.SUPPRESS)
        parser.add_argument("--steps-total", type=int, help=argparse.SUPPRESS)

    def handle(
        self, *args: Any, demo: bool, steps_done: int, steps_total: int | None, **options: Any
    ) -> None:
        wanted = [*STEPS, DEMO_STEP] if demo else STEPS
        steps = Steps(self.stdout.write, total=steps_total or len(wanted), done=steps_done)
        for command, title, arguments in wanted:
            with steps(title):
                call_command(command, **arguments)
                self.stdout.flush()
