"""`manage.py refill_clickhouse`: ClickHouse anew from PostgreSQL."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics.errors import ClickHouseUnavailable
from analytics.services.sync import FACTS, Carried, refill_facts


class Command(BaseCommand):
    help = (
        "Fill the fact tables anew from PostgreSQL, whatever they held: after a restored backup or a lost "
        "ClickHouse. Readers see the old rows until a table is complete."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--table", choices=sorted(FACTS), action="append", help="only this one; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = refill_facts(options["table"] or tuple(FACTS), report=self.report)
        except ClickHouseUnavailable as error:
            raise CommandError(error.detail) from error
        if done is None:
            raise CommandError("A sync is running; try again when it has ended.")

    def report(self, carried: Carried) -> None:
        self.stdout.write(
            f"{carried.table}: {carried.rows} rows in {carried.seconds:.2f} s,"
            f" {carried.rows_per_second:.0f} rows/s"
        )
