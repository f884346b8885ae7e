"""`manage.py rfm`: the nightly snapshot, now or of another day."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.errors import ClickHouseUnavailable
from analytics.services.rfm import calculate_rfm


class Command(BaseCommand):
    help = (
        "Take the RFM snapshot of a day from the purchases of the 365 days before it. "
        "Looks at what is in ClickHouse: run sync_clickhouse first. Example: rfm --date 2026-06-01"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--date", type=date.fromisoformat, help="YYYY-MM-DD, today in the programme's zone by default"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = calculate_rfm(snapshot_date=options["date"] or timezone.localdate(), at=timezone.now())
        except ClickHouseUnavailable as error:
            raise CommandError(error.detail) from error
        if run is None:
            raise CommandError("A snapshot is being taken already; try again when it is done.")
        self.stdout.write(f"RFM of {run.snapshot_date}: {run.members} members")
        for name in ("recency", "frequency", "monetary"):
            cuts = ", ".join(str(cut) for cut in getattr(run, f"{name}_cuts"))
            self.stdout.write(f"  {name} cuts: {cuts or '-'}")
