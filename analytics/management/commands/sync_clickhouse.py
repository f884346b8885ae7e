"""`manage.py sync_clickhouse`: the five-minute task, now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics.errors import ClickHouseUnavailable, SyncRefused
from analytics.services.sync import sync_facts


class Command(BaseCommand):
    help = "Carry everything committed since the last run to ClickHouse."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            carried = sync_facts()
        except (ClickHouseUnavailable, SyncRefused) as error:
            raise CommandError(error.detail) from error
        if carried is None:
            self.stdout.write("Another sync is running and carries these rows too.")
        for table in carried or ():
            self.stdout.write(f"{table.table}: {table.rows} rows in {table.seconds:.2f} s")
