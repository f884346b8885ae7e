"""`manage.py migrate_clickhouse`: bring ClickHouse to the schema of this release."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics.clickhouse.client import connect
from analytics.clickhouse.migrate import SCHEMA_FILE, apply_pending, dump_schema, pending
from analytics.clickhouse.postgres_link import ensure_link
from analytics.errors import ClickHouseUnavailable, MigrationChanged


class Command(BaseCommand):
    help = (
        "Apply the pending ClickHouse migrations and let ClickHouse read PostgreSQL's export views. "
        "May be run at any time; run it after `migrate`, and again when PostgreSQL's address changes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--plan", action="store_true", help="list what would be applied, change nothing")
        group.add_argument(
            "--check",
            action="store_true",
            help="exit 1 when something is pending or an applied file was edited, change nothing",
        )
        group.add_argument(
            "--dump", action="store_true", help="after applying, rewrite analytics/clickhouse/schema.sql"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["plan"] or options["check"]:
                self.show_pending(failing=options["check"])
            else:
                self.apply(dump=options["dump"])
        except (ClickHouseUnavailable, MigrationChanged) as error:
            raise CommandError(error.detail) from error

    def show_pending(self, *, failing: bool) -> None:
        todo = pending()
        for migration in todo:
            self.stdout.write(migration.name)
        if not todo:
            self.stdout.write("Nothing to apply.")
        elif failing:
            sys.exit(1)

    def apply(self, *, dump: bool) -> None:
        done = apply_pending()
        for migration in done:
            self.stdout.write(f"Applied {migration.name}")
        with connect() as clickhouse:
            ensure_link(clickhouse)
        if not done:
            self.stdout.write("ClickHouse is up to date.")
        if dump:
            SCHEMA_FILE.write_text(dump_schema(), encoding="utf-8")
