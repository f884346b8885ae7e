"""`manage.py run`: servers, migrations, demo, web, worker and beat in one terminal."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from svoykrug.console import Steps
from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.ports import LOOPBACK, is_free
from svoykrug.embedded.servers import Servers

PROCFILE = settings.BASE_DIR / "Procfile"
STEP_COUNT = 5
READY_SECONDS = 120


class Command(BaseCommand):
    help = "Run the whole product on this machine; Ctrl-C stops it, servers included, and keeps the data."
    # The addresses the checks ask for are made by the first step.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="the next free one if taken (%(default)s)")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "`run` is for a first look and development: production starts each part alone."
            )
        signal.signal(signal.SIGTERM, _interrupt)
        # A pipe that is read line by line sees each step when it happens.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        servers = Servers(settings.LOCAL_DIR, os.environ, self.stderr.write)
        try:
            servers.local.create()
            with _only_run_of(settings.LOCAL_DIR):
                self._run(servers, port)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error

    def _run(self, servers: Servers, port: int) -> None:
        began = time.monotonic()
        code = 130
        try:
            steps = Steps(self.stdout.write, total=STEP_COUNT)
            with steps("Start PostgreSQL, ClickHouse and Redis"):
                servers.start()
            # A process of its own: this one read its settings before the servers had addresses.
            command = [sys.executable, "manage.py", "prepare", "--demo", "--steps-done=1"]
            if subprocess.run([*command, f"--steps-total={STEP_COUNT}"], cwd=settings.BASE_DIR).returncode:
                raise CommandError("The databases could not be prepared, see above.")
            self.stdout.write(f"[{STEP_COUNT}/{STEP_COUNT}] Start web, worker and beat")
            code = self._serve(_next_free(port), began)
        except KeyboardInterrupt:
            pass
        finally:
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, signal.SIG_IGN)
            self.stdout.write("Stopping the servers; the data stay in .local/ …")
            servers.stop()
        # Stopped on request is not a failure.
        if code not in {0, 130, 143}:
            raise CommandError(f"A process ended by itself (exit code {code}), so everything was stopped.")

    def _serve(self, port: int, began: float) -> int:
        # Imported late: a venv of production has no honcho and never comes here.
        from honcho.environ import parse_procfile
        from honcho.manager import Manager

        environment = {
            **os.environ,
            "PORT": str(port),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }
        manager = Manager()
        for name, command in parse_procfile(PROCFILE.read_text()).processes.items():
            manager.add_process(name, command, env=environment, cwd=str(settings.BASE_DIR))
        threading.Thread(target=self._announce, args=[port, began], daemon=True).start()
        manager.loop()
        return manager.returncode if manager.returncode is not None else 1

    def _announce(self, port: int, began: float) -> None:
        # An answer of any kind: the port alone is open long before the first page can be made.
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            web = HTTPConnection(LOOPBACK, port, timeout=READY_SECONDS)
            try:
                web.request("GET", "/")
                web.getresponse()
            except (OSError, HTTPException):
                time.sleep(0.1)
                continue
            finally:
                web.close()
            seconds = time.monotonic() - began
            self.stdout.write(f"\nReady after {seconds:.0f} s: http://{LOOPBACK}:{port}/ (Ctrl-C stops)\n")
            return


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _next_free(port: int) -> int:
    for candidate in range(port, min(port + 100, 65_536)):
        if is_free(candidate):
            return candidate
    raise EmbeddedError(f"No free port from {port} on: choose another, make run PORT=….")


@contextmanager
def _only_run_of(folder: Path) -> Iterator[None]:
    # The second `run` of a folder would stop the servers under the first.
    with (folder / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError("This checkout runs already in another terminal.") from None
        yield
