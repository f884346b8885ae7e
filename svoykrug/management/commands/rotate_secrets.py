"""Encrypt everything stored under ENCRYPTION_KEYS by the first of them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from svoykrug.rotation import encrypted_columns, rotate


class Command(BaseCommand):
    help = (
        "Encrypt anew, by the first of ENCRYPTION_KEYS, whatever an older one encrypted: webhook and CRM "
        "secrets, second factors, answers kept for repeats. May be stopped, run again, and run while the "
        "service works, once every process has the new key. Rows that no key reads are named, and then the "
        "exit code is 1."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        columns, unreadable = encrypted_columns(), 0
        for number, (table, column) in enumerate(columns, start=1):
            for done in rotate(table, column):
                self.stdout.write(
                    f"[{number}/{len(columns)}] {table}.{column}: {done.rows} rows, {done.renewed} renewed"
                )
                self.stdout.flush()
            if done.unreadable:
                unreadable += done.unreadable
                self.stdout.write(
                    f"      {done.unreadable} read by no key, the first is {done.first_unreadable}"
                )
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets are read by no key. docs/operations.md says what to do."
            )
        self.stdout.write("ok: the other keys may be taken out")
