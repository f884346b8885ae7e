"""`manage.py aggregate_cross_promo`: the hourly task, now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.errors import ClickHouseUnavailable, SwapRefused
from analytics.services.cross_promo import aggregate_cross_promo


class Command(BaseCommand):
    help = "Rebuild the numbers of the win-win matrix from the chains' assignments."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = aggregate_cross_promo(at=timezone.now())
        except (ClickHouseUnavailable, SwapRefused) as error:
            raise CommandError(error.detail) from error
        if result is None:
            raise CommandError("The numbers are being rebuilt already; try again when it is done.")
        months = ", ".join(str(month) for month in result.months)
        self.stdout.write(f"{result.assignments} assignments; months changed: {months or 'none'}")
