"""`manage.py reconcile`: prove that ClickHouse holds what PostgreSQL holds, or make it so."""

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.errors import ClickHouseUnavailable, SyncRefused
from analytics.models import Reconciliation
from analytics.services.reconcile import Compared, reconcile
from analytics.services.sync import FACTS

Outcome = Reconciliation.Outcome


class Command(BaseCommand):
    help = (
        "Compare count, kopecks and digests of every kept month in ClickHouse with PostgreSQL. "
        "Exit 1 when a month differs and was not healed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--heal", action="store_true", help="rebuild the months that differ")
        parser.add_argument(
            "--table", choices=sorted(FACTS), action="append", help="only this one; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        tables = options["table"] or tuple(FACTS)
        try:
            months = reconcile(at=timezone.now(), heal=options["heal"], tables=tables)
        except (ClickHouseUnavailable, SyncRefused) as error:
            raise CommandError(error.detail) from error
        if months is None:
            raise CommandError("A sync is running; try again when it has ended.")
        for table in tables:
            self.report(table, [month for month in months if month.table == table])
        left = [month for month in months if month.outcome == Outcome.DIFFERS]
        if left:
            advice = "see the log" if options["heal"] else "run `manage.py reconcile --heal`"
            raise CommandError(f"{len(left)} months differ: {advice}.")

    def report(self, table: str, months: list[Compared]) -> None:
        rows = sum(month.postgres.rows for month in months)
        self.stdout.write(f"{table}: {rows} rows in {len(months)} months")
        for month in months:
            if month.outcome != Outcome.EQUAL:
                self.stdout.write(
                    f"  {month.first_day:%Y-%m} {month.outcome}: PostgreSQL {_words(month, 'postgres')},"
                    f" ClickHouse {_words(month, 'clickhouse')}"
                )


def _words(month: Compared, side: str) -> str:
    sums = getattr(month, side)
    amount = (
        f"{sums.amount} guests" if month.table == "event_facts" else f"{Decimal(sums.amount).scaleb(-2):.2f}"
    )
    return f"{sums.rows} rows, {amount}"
