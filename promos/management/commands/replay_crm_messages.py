"""Apply messages of CRMs again, after their mapping has been mended."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from loyalty.models import Business, CrmMessage
from promos.crm import applying

TOLD_EVERY = 100


class Command(BaseCommand):
    help = (
        "Apply messages of CRMs again by the mapping as it is now, the failed ones unless told otherwise. "
        "What is recorded already stays recorded once, so this may be run twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--business", metavar="CODE", help="of this business only")
        parser.add_argument(
            "--status", action="append", choices=CrmMessage.Status.values, help="repeatable; default: failed"
        )
        parser.add_argument(
            "--message", action="append", type=UUID, metavar="ID", help="only these; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at = timezone.now()
        messages = CrmMessage.objects.all()
        if options["message"]:
            messages = messages.filter(pk__in=options["message"])
        else:
            messages = messages.filter(status__in=options["status"] or [CrmMessage.Status.FAILED])
        if code := options["business"]:
            if not Business.objects.filter(code=code).exists():
                raise CommandError(f"There is no business with the code {code}.")
            messages = messages.filter(integration__business__code=code)
        message_ids = applying.replay(messages, at=at)
        counts: dict[str, int] = {}
        for number, message_id in enumerate(message_ids, 1):
            # None: a worker was quicker.
            status = applying.apply_message(message_id, at=timezone.now()) or "elsewhere"
            counts[status] = counts.get(status, 0) + 1
            if number % TOLD_EVERY == 0 and sys.stderr.isatty():
                self.stderr.write(f"{number} of {len(message_ids)}\r", ending="")
        parts = [f"messages={len(message_ids)}", *(f"{name}={counts[name]}" for name in sorted(counts))]
        self.stdout.write(" ".join(parts))
