"""The embedded set of one checkout: start, stop, status, addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from svoykrug.embedded.addresses import NAMES, read_addresses
from svoykrug.embedded.clickhouse import ClickHouse
from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.folder import LocalFolder
from svoykrug.embedded.outside import reach
from svoykrug.embedded.postgres import Postgres
from svoykrug.embedded.redis import Redis
from svoykrug.embedded.server import Server


@dataclass(frozen=True)
class Status:
    """One line of `services status`."""

    title: str
    state: str  # running, stopped, crashed, not answering, outside
    pid: int | None = None

    @property
    def is_good(self) -> bool:
        return self.state in {"running", "outside"}


class Servers:
    """Three servers under one folder, less those whose address the environment names."""

    def __init__(self, folder: Path, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self.local = LocalFolder(folder)
        self.tell = tell
        self.outside = {name: environment[name] for name in NAMES if environment.get(name)}
        # ClickHouse first: it takes longest, and initdb runs meanwhile.
        everything: list[Server] = [kind(self.local, tell) for kind in (ClickHouse, Postgres, Redis)]
        self.all = everything
        self.embedded = [server for server in everything if server.variable not in self.outside]

    def start(self) -> list[str]:
        """Start what does not answer yet and return the titles; a failure ends what this call began."""
        for variable, address in self.outside.items():
            reach(variable, address)
        if not self.embedded:
            return []
        with self.local.locked():
            begun: list[Server] = []
            try:
                for server in self.embedded:
                    if server.answers():
                        continue
                    self._clear_away(server)
                    begun.append(server)
                    server.spawn()
                for server in begun:
                    server.wait()
                self.local.publish({server.variable: server.address() for server in self.embedded})
            except BaseException:
                self._end(begun)
                raise
        return [server.title for server in begun]

    def stop(self) -> list[str]:
        """Stop every embedded server of the folder and return the titles of those that ran."""
        if not self.local.path.is_dir():
            return []
        with self.local.locked():
            running = [server for server in self.all if server.pid()]
            self._end(self.all)
            self.local.publish({})
        return [server.title for server in running]

    def status(self) -> list[Status]:
        """Tell how each server is."""
        return [self._status_of(server) for server in self.all]

    def addresses(self) -> dict[str, str]:
        """Return all three addresses, those of the environment first."""
        known = {**read_addresses(self.local.path), **self.outside}
        if missing := [name for name in NAMES if name not in known]:
            raise EmbeddedError(f"{', '.join(missing)}: not started yet, run `make services`.")
        return {name: known[name] for name in NAMES}

    def _status_of(self, server: Server) -> Status:
        if server.variable in self.outside:
            return Status(server.title, "outside")
        if pid := server.pid():
            return Status(server.title, "running" if server.ping() is None else "not answering", pid)
        return Status(server.title, "crashed" if server.is_crashed() else "stopped")

    def _clear_away(self, server: Server) -> None:
        if server.is_crashed():
            self.tell(f"{server.title} had ended unexpectedly: starting it again")
        elif server.pid():
            self.tell(f"{server.title} runs but does not answer: restarting it")
            self._end([server])
        server.process.clear()

    def _end(self, servers: list[Server]) -> None:
        for server in servers:
            server.ask_to_end()
        for server in servers:
            if not server.wait_for_end():
                self.tell(f"{server.title} did not stop by itself and was killed")
