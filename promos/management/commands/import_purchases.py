"""Load a file of purchases and refunds."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _
from tqdm import tqdm

from loyalty.models import Business
from promos.imports.errors import FileRefused
from promos.imports.loader import import_file
from promos.imports.profiles import DEFAULT, PROFILES


@contextmanager
def _polite_stop() -> Iterator[None]:
    """Let SIGTERM end the import as Ctrl-C does: the chunk at hand rolls back and the job says why."""
    before = signal.signal(signal.SIGTERM, lambda *_details: sys.exit(_("stopped by a signal")))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Command(BaseCommand):
    help = (
        "Record the purchases and refunds of a CSV file, plain or gzipped. Running it again stores nothing "
        "twice. Rows that cannot be recorded are counted and, with --errors, written to a file. "
        "Ends with one line: read=… created=… duplicates=… rejected=… refunds=… parked=… amount=…"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, plain or gzipped")
        parser.add_argument(
            "--profile", default=DEFAULT.name, choices=list(PROFILES),
            help="how the file is written: "
            + "; ".join(f"{profile.name} ({profile.title})" for profile in PROFILES.values()),
        )  # fmt: skip
        parser.add_argument("--create-members", action="store_true", help="enrol cards that nobody has yet")
        parser.add_argument("--shift-days", type=int, default=0, metavar="N", help="add N days to every date")
        parser.add_argument(
            "--dry-run", action="store_true",
            help="try everything, store nothing; the members concerned are locked meanwhile",
        )  # fmt: skip
        parser.add_argument(
            "--errors", type=Path, metavar="FILE", help="write the refused rows to this CSV file"
        )
        parser.add_argument("--business", metavar="CODE", help="refuse rows of any other business")

    def handle(self, *args: Any, **options: Any) -> None:
        if abs(options["shift_days"]) > 36_500:
            raise CommandError(_("--shift-days is at most a hundred years."))
        business = None
        if code := options["business"]:
            business = Business.objects.filter(code=code, is_programme=False, is_active=True).first()
            if business is None:
                raise CommandError(_("There is no active business %s.") % code)
        with _polite_stop(), tqdm(unit=" lines", file=sys.stderr, disable=None, leave=False) as bar:

            def on_progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                report = import_file(
                    options["file"], profile=PROFILES[options["profile"]], business=business,
                    create_members=options["create_members"], shift_days=options["shift_days"],
                    dry_run=options["dry_run"], errors_path=options["errors"], on_progress=on_progress,
                )  # fmt: skip
            except FileRefused as refused:
                raise CommandError(refused.detail) from refused
            except DatabaseError as error:
                why = str(error).strip().split("\n")[0]
                raise CommandError(
                    _("The database failed: %s. What was loaded stays; run the import again.") % why
                ) from error
        for found, count in report.by_code.most_common():
            self.stderr.write(f"  {found}: {count}")
        if report.rejected and options["errors"]:
            self.stderr.write(_("The refused rows are in %s.") % options["errors"])
        self.stdout.write(report.line())
