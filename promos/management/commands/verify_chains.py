"""Prove chains' shares of cost and counts against purchases, refunds and assignments."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promos.services.chain_checks import CHECKS, verify_chains


class Command(BaseCommand):
    help = (
        "Ask every rule of chains' counts and shares of cost of every row, without locks. Names each row "
        "that breaks one, and then the exit code is 1. Ends with `ok` otherwise."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        faults = verify_chains()
        for fault in faults:
            self.stdout.write(f"{fault.rule}: {fault.row_id}: {fault.what}")
        if faults:
            raise CommandError(f"{len(faults)} rows are wrong. docs/operations.md says what to do.")
        self.stdout.write(f"{len(CHECKS)} rules: ok")
