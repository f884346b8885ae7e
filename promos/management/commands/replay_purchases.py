"""Settle every stored purchase again from its stored inputs."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from loyalty.models import Business
from promos.services.replay import Replay, replay_purchases


class Command(BaseCommand):
    help = (
        "Settle every stored purchase again from the inputs kept with it, and compare discount, spent and "
        "earned bonuses and the parts of its lines with what is stored. Changes nothing; exits 1 and names "
        "the first differing purchases if any differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--business", metavar="CODE", help="purchases of this business alone")

    def handle(self, *args: Any, **options: Any) -> None:
        business = None
        if code := options["business"]:
            business = Business.objects.filter(code=code).first()
            if business is None:
                raise CommandError(f"There is no business with the code {code}.")
        result = Replay(differences=[])
        with tqdm(unit=" purchases", disable=None, file=sys.stderr) as progress:
            for result in replay_purchases(business_id=business.pk if business else None):
                progress.update(result.replayed + result.without_inputs - progress.n)
        for difference in result.differences or []:
            self.stderr.write(str(difference))
        self.stdout.write(
            f"replayed={result.replayed} differing={result.differing} without_inputs={result.without_inputs}"
        )
        if result.differing:
            raise CommandError(f"{result.differing} purchases replay to other numbers than are stored.")
