"""`manage.py forecast`: the nightly forecasts, now."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.errors import ClickHouseUnavailable
from analytics.services.forecasts import forecast_customers


class Command(BaseCommand):
    help = (
        "Foretell each customer's chance of return, purchases and value of the next 90 days, for the "
        "programme and for each business. Looks at what is in ClickHouse: run sync_clickhouse first. "
        "Example: forecast"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until",
            type=date.fromisoformat,
            help="YYYY-MM-DD, purchases before it are looked at; today in the programme's zone by default",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            runs = forecast_customers(until=options["until"] or timezone.localdate(), at=timezone.now())
        except ClickHouseUnavailable as error:
            raise CommandError(error.detail) from error
        if runs is None:
            raise CommandError("A forecast is being calculated already; try again when it is done.")
        for run in runs:
            name = run.business.code if run.business else "programme"
            if not run.is_ready:
                self.stdout.write(f"{name}: {run.repeat_buyers} of {run.customers} came back, too few")
                continue
            r, alpha, a, b = run.timing
            p, q, gamma = run.spending
            self.stdout.write(
                f"{name}: {run.customers} customers, r={r:.3f} alpha={alpha:.3f} a={a:.3f} b={b:.3f}"
                f" LL={run.log_likelihood:.1f}, p={p:.2f} q={q:.2f} gamma={gamma:.2f}"
            )
