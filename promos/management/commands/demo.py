"""Load the demo coalition into an empty database."""

import random
import sys
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.transaction import atomic
from django.utils import timezone
from tqdm import tqdm

from loyalty.models import ImportJob, Member, Transaction
from loyalty.services.expiry import expire_bonuses
from loyalty.services.tiers import raise_tiers
from promos.demo import coalition, people, reactions, sample
from promos.imports.loader import import_file

SEED = 20091201
# What carries the purchases on to the owners' pages, in order.
ANALYTICS = ("sync_clickhouse", "rfm", "forecast", "aggregate_cross_promo")
# Nights whose snapshots the owners' pages follow the segments through; tonight's is the last.
NIGHTS = range(330, -1, -30)


class Command(BaseCommand):
    help = (
        "Load twenty invented partners and a packaged sample of real purchases, with dates shifted so that "
        "the last one was yesterday, and logins to look around. Does nothing when there are purchases."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--scale", choices=["small", "full"], default="small",
            help="small: 1,000 members, 47,000 purchases; full: 5,264 members, 260,000 purchases",
        )  # fmt: skip

    def handle(self, *args: Any, scale: str, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("The demo's passwords are public: it is refused in production.")
        finished = Member.objects.filter(phone=people.MEMBER_PHONE).exists()
        begun = ImportJob.objects.filter(file_name__in=[_file_name(s) for s in ("small", "full")]).order_by(
            "pk"
        )
        first = begun.first()
        if finished or (Transaction.objects.exists() and first is None):
            self.stdout.write("There are purchases already; the demo is left as it is.")
            if finished:
                self._print_logins()
            return
        # A demo that was interrupted goes on as it began: another day's shift would double the rows.
        started_at = first.created_at if first else timezone.now()
        scale = "full" if first and first.file_name == _file_name("full") else scale
        coalition.create_businesses()
        owner = coalition.create_logins()
        coalition.agree_on_chains(owner=owner, now=started_at)
        with tempfile.TemporaryDirectory() as folder:
            path = sample.SAMPLE
            if scale == "small":
                path = Path(folder) / _file_name(scale)
                sample.write_small(path)
            shown = sample.overview(path)
            # Before their purchases: a chain's coupon goes to those who consent.
            with atomic():
                consenting = people.enrol(shown.cards, random.Random(SEED), at=started_at)  # noqa: S311
            self.stdout.write(f"Members: {len(shown.cards)}, of them {consenting} consent to advertising.")
            self._import(path, shown.last_day, started_at)
        self._finish(started_at)
        self._carry_to_analytics()
        self._print_logins()

    def _import(self, path: Path, last_day: date, started_at: datetime) -> None:
        yesterday = timezone.localdate(started_at) - timedelta(days=1)
        shift = (yesterday - last_day).days
        with tqdm(unit=" lines", file=sys.stderr, disable=None, leave=False) as bar:

            def on_progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = import_file(
                path, create_members=True, shift_days=shift, amount_factor=Decimal(sample.ROUBLES_PER_POUND),
                at=timezone.now(), on_progress=on_progress,
            )  # fmt: skip
        self.stdout.write(report.line())
        self.stdout.write(sample.ATTRIBUTION)
        self.stdout.write(
            f"Amounts: {sample.ROUBLES_PER_POUND} ₽ for £1. "
            f"Dates: shifted by {shift} days, the last is {yesterday}."
        )

    def _finish(self, started_at: datetime) -> None:
        """Redeem coupons and bring tiers and lots up to date, all or nothing."""
        generator = random.Random(SEED)  # noqa: S311  the demo is to be the same, not secret
        today = timezone.localtime(started_at).replace(hour=0, minute=0, second=0, microsecond=0)
        with atomic():
            raise_tiers(at=started_at)
            member = people.choose_member(at=started_at)
            redeemed = reactions.react(generator, before=today, spare=member.pk)
        expire_bonuses(at=timezone.now())
        self.stdout.write(
            "Invented: partners, first names, phones, consents, chains, and visits to their targets, of which"
            f" {redeemed} redeem coupons; who reacts is simulated, with an effect put in on purpose."
        )

    def _carry_to_analytics(self) -> None:
        known = get_commands()
        for name in ANALYTICS:
            if name not in known:
                continue
            try:
                for options in self._turns(name):
                    call_command(name, *options, stdout=self.stdout, stderr=self.stderr)
            except CommandError as error:
                # ClickHouse adds a trace of its own; the first line says what is wrong.
                why = str(error).split("\n")[0]
                self.stderr.write(f"{name}: {why} The purchases are loaded; run the command again later.")
                return

    def _turns(self, name: str) -> list[list[str]]:
        if name != "rfm":
            return [[]]
        today = timezone.localdate()
        return [["--date", (today - timedelta(days=days)).isoformat()] for days in NIGHTS]

    def _print_logins(self) -> None:
        for login in coalition.LOGINS:
            self.stdout.write(f"  {login.title:<16} /admin/  {login.phone}  {login.password}")
        self.stdout.write(
            f"  {'member':<16} /        {people.MEMBER_PHONE}  (the code is printed to the console)"
        )


def _file_name(scale: str) -> str:
    return sample.SAMPLE.name if scale == "full" else sample.SMALL_NAME
