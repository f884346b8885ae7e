"""The private folder of the embedded servers: secrets, remembered choices, one lock."""

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from svoykrug.embedded.errors import EmbeddedError

LOCK_SECONDS = 120


class LocalFolder:
    """`.local/`: readable by its owner alone, remembers ports and passwords in `embedded.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.addresses = self.path / "services.json"
        self._memory = self.path / "embedded.json"

    def create(self, name: str = "") -> Path:
        """Make the folder, or one inside it, with mode 0700."""
        folder = self.path / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            # A name of its own: several starts may try at the same time.
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise EmbeddedError(f"Cannot write to {folder}: {error.strerror}.") from error
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one start or stop at a time touch this folder."""
        self.create()
        deadline = time.monotonic() + LOCK_SECONDS
        with (self.path / "lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"Another start or stop has held {self.path / 'lock'} for {LOCK_SECONDS} s."
                        raise EmbeddedError(message) from None
                    time.sleep(0.1)
            yield

    def recall(self, server: str) -> dict[str, Any]:
        """Return what was remembered for the server."""
        return dict(self._read(self._memory).get(server, {}))

    def remember(self, server: str, **values: Any) -> None:
        """Keep the values for the next start."""
        memory = self._read(self._memory)
        memory[server] = {**memory.get(server, {}), **values}
        self._write(self._memory, memory)

    def publish(self, addresses: dict[str, str]) -> None:
        """Write the addresses the settings read; none removes the file."""
        if addresses:
            self._write(self.addresses, addresses)
        else:
            self.addresses.unlink(missing_ok=True)

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            return dict(json.loads(file.read_text()))
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            raise EmbeddedError(
                f"{file} cannot be read ({error}): remove {self.path} to begin anew."
            ) from error

    def _write(self, file: Path, value: dict[str, Any]) -> None:
        # Readers see the old file or the new one, never half of it.
        draft = file.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(value, stream, indent=2)
            stream.write("\n")
        draft.replace(file)
