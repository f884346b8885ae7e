"""Audit balances, lots, entries, purchases, coupons and holds."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from loyalty.services.verification import CHECKS, snapshot, verify_ledger


class Command(BaseCommand):
    help = (
        "Ask every rule of the ledger of every row, in one snapshot and without locks; safe at any time. "
        "One line per rule. What is wrong is counted, and the first wrong row named with what is expected "
        "and what is found; then the exit code is 1. Ends with `ok` otherwise."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        with snapshot():
            for number, finding in enumerate(verify_ledger(at=timezone.now()), start=1):
                verdict = f"{finding.wrong} wrong" if finding.wrong else "ok"
                self.stdout.write(
                    f"[{number:2}/{len(CHECKS)}] {finding.check.rule}: {finding.rows} rows, {verdict} "
                    f"({finding.seconds:.1f} s)"
                )
                self.stdout.flush()
                if first := finding.first:
                    wrong += finding.wrong
                    self.stdout.write(
                        f"        first: {finding.check.table} {first.row_id or '—'}, "
                        f"member {first.member_id or '—'}: {first.what}"
                    )
        if wrong:
            raise CommandError(f"{wrong} rows are wrong. docs/operations.md says what to do.")
        self.stdout.write("ok")
