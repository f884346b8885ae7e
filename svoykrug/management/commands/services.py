"""`manage.py services`: the embedded servers of this checkout."""

import os
import signal
import subprocess
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.servers import Servers

DESCRIPTION = """Real PostgreSQL, ClickHouse and Redis out of Python wheels, for development and tests.

  start   start what does not answer; a crashed server is started again, data are kept
  stop    end the servers this folder's `start` began
  status  tell how each server is; the exit code is 3 unless all are well
  env     print DATABASE_URL=…, CLICKHOUSE_URL=… and REDIS_URL=…, passwords included
  exec    start, run the command given after --, stop what was started, answer with its exit code

A server whose address is set in the environment or in .env is used as it is and never started."""


class Command(BaseCommand):
    help = DESCRIPTION
    # The system checks ask for the very addresses this command makes.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status", "env", "exec"])
        parser.add_argument("command", nargs="*", help="for exec, after --")
        parser.add_argument(
            "--folder",
            type=Path,
            default=settings.LOCAL_DIR,
            help="where servers and data live (%(default)s)",
        )

    def handle(self, *args: Any, action: str, folder: Path, command: list[str], **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "Production does not run embedded servers: set DATABASE_URL, CLICKHOUSE_URL and REDIS_URL."
            )
        servers = Servers(folder, os.environ, self.stderr.write)
        actions: dict[str, Callable[[Servers], None]] = {
            "start": self.start,
            "stop": self.stop,
            "status": self.status,
            "env": self.env,
            "exec": partial(self.execute_with, command=command),
        }
        try:
            actions[action](servers)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error

    def start(self, servers: Servers) -> None:
        started = servers.start()
        self.stdout.write(f"Started: {', '.join(started)}." if started else "Everything runs already.")

    def stop(self, servers: Servers) -> None:
        stopped = servers.stop()
        self.stdout.write(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")

    def status(self, servers: Servers) -> None:
        lines = servers.status()
        for line in lines:
            self.stdout.write(f"{line.title:<12} {line.state}" + (f" (pid {line.pid})" if line.pid else ""))
        if not all(line.is_good for line in lines):
            raise SystemExit(3)

    def env(self, servers: Servers) -> None:
        self.stdout.write("\n".join(f"{name}={address}" for name, address in servers.addresses().items()))

    def execute_with(self, servers: Servers, *, command: list[str]) -> None:
        if not command:
            raise CommandError("exec needs a command: services exec -- pytest")
        # A polite end during the start ends what was begun.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        started = servers.start()
        try:
            process = subprocess.Popen(command)
            # The terminal's Ctrl-C reaches the command too: it is waited for, so that it can tidy up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(signal.SIGINT))
            code = process.wait()
        except FileNotFoundError:
            raise CommandError(f"There is no command {command[0]}.") from None
        finally:
            if started:
                servers.stop()
        raise SystemExit(code if code >= 0 else 128 - code)
