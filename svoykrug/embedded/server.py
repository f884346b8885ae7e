"""What the three embedded servers have in common: started once, asked until they answer, ended cleanly."""

import importlib.util
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.folder import LocalFolder
from svoykrug.embedded.process import PidFile, ask_to_end, spawn, wait_for_end

CONFIG = Path(__file__).parent / "config"
ATTEMPTS = 5


@dataclass
class Launch:
    """How one server is started."""

    command: list[str]
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


def wheel_folder(module: str, *, package: str, variable: str) -> Path:
    """Return where the wheel's files are, without importing it."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError(
            f"The wheel {package} is not installed: run `make services`, or set {variable} to another server."
        )
    return Path(next(iter(found.submodule_search_locations))).resolve()


def render(template: str, **values: object) -> str:
    """Fill a file of `config/`."""
    return Template((CONFIG / template).read_text()).substitute(values)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


class Server(ABC):
    """One embedded server of one folder."""

    name: str
    title: str
    variable: str
    stop_signal = signal.SIGTERM
    # Words of the log lines that tell why a start failed.
    telling: tuple[str, ...] = ("FATAL", "Exception")
    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self, local: LocalFolder, tell: Callable[[str], None]) -> None:
        self.local = local
        self.tell = tell
        self.folder = local.path / self.name
        self.log = self.folder / "server.log"
        self.process = PidFile(self.folder / "server.pid", mark=f"{self.folder}/")
        self._log_start = 0

    @abstractmethod
    def prepare(self) -> Launch:
        """Write data folder and configuration, choosing ports and secrets where none are remembered."""

    @abstractmethod
    def address(self) -> str:
        """Return the address with the password, as the settings read it."""

    @abstractmethod
    def ping(self) -> str | None:
        """Return nothing if the server answers, else why not."""

    def finish(self) -> None:  # noqa: B027  not every server needs it
        """Create what a fresh server lacks."""

    def tidy(self) -> None:  # noqa: B027
        """Remove what a stopped server leaves outside its folder."""

    def pid(self) -> int | None:
        return self.process.living()

    def is_crashed(self) -> bool:
        return self.process.written() is not None and self.pid() is None

    def answers(self) -> bool:
        return self.pid() is not None and self.ping() is None

    def spawn(self) -> None:
        """Start the process without waiting for it."""
        self.local.create(self.name)
        try:
            launch = self.prepare()
            self._log_start = self.log.stat().st_size if self.log.exists() else 0
            process = spawn(launch.command, log=self.log, user=launch.user, environment=launch.environment)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"{self.title} could not be started: {error}.") from error
        self.process.write(process.pid)

    def wait(self) -> None:
        """Return when the server answers; a port or memory segment still in use is tried again."""
        deadline = time.monotonic() + self.start_seconds
        attempt = 1
        while (reason := self.ping()) is not None:
            if self.pid() is None:
                last_words = self.last_words()
                if "in use" not in last_words or attempt == ATTEMPTS:
                    raise EmbeddedError(f"{self.title} did not start: {last_words} (see {self.log}).")
                self.tell(f"{self.title}: {last_words}; trying again")
                attempt += 1
                time.sleep(0.5)
                self.spawn()
            elif time.monotonic() > deadline:
                waited = f"{self.title} does not answer after {self.start_seconds:.0f} s"
                raise EmbeddedError(f"{waited}: {reason} (see {self.log}).")
            time.sleep(0.05)
        self.finish()

    def ask_to_end(self) -> None:
        ask_to_end(self.process, self.stop_signal)

    def wait_for_end(self) -> bool:
        """Tell whether the server ended by itself; force is used if not."""
        clean = wait_for_end(self.process, seconds=self.stop_seconds)
        self.tidy()
        return clean

    def last_words(self) -> str:
        """Return the line of this attempt's log that says most."""
        with self.log.open("rb") as stream:
            if self._log_start < self.log.stat().st_size:
                stream.seek(self._log_start)
            lines = [
                line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()
            ]
        telling = [line for line in lines if any(word in line for word in ("in use", *self.telling))]
        return (telling or lines or ["it ended without a word"])[0][:300].rstrip(".")
