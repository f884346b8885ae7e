"""Start, recognise and end the servers' processes; only those started here are ever signalled."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_LIMIT_BYTES = 10_000_000


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process of its own session that writes to `log`; `user` is given when root must not run it."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.old"))
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            env={**os.environ, **(environment or {})},
            cwd="/",
        )
    # For a moment after exec a process has no command line, and would not be recognised.
    while process.poll() is None and not command_line(process.pid):
        time.sleep(0.001)
    return process


def command_line(pid: int) -> str:
    """Return the command line of a living process, or nothing."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return listing.stdout.strip()


def reap(pid: int) -> None:
    """Collect the process if it is a dead child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


class PidFile:
    """The process that serves one folder: pid on disk, folder in its command line."""

    def __init__(self, path: Path, *, mark: str) -> None:
        self.path = path
        self.mark = mark

    def write(self, pid: int) -> None:
        self.path.write_text(f"{pid}\n")

    def written(self) -> int | None:
        try:
            return int(self.path.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def living(self) -> int | None:
        """Return the pid if that process lives and is ours; a reused pid is somebody else's."""
        pid = self.written()
        if pid is None:
            return None
        reap(pid)
        return pid if self.mark in command_line(pid) else None

    def clear(self) -> None:
        # A file may stand where the server's folder should be; making that folder says so.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path.unlink()


def ask_to_end(process: PidFile, how: signal.Signals) -> None:
    """Send the signal that the server takes as a request for a clean end."""
    if pid := process.living():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def wait_for_end(process: PidFile, *, seconds: float) -> bool:
    """Wait until the process is gone, then by force; tell whether it went by itself."""
    deadline = time.monotonic() + seconds
    while process.living():
        if time.monotonic() > deadline:
            ask_to_end(process, signal.SIGKILL)
            deadline = time.monotonic() + seconds
            clean = False
            while process.living() and time.monotonic() < deadline:
                time.sleep(0.02)
            break
        time.sleep(0.02)
    else:
        clean = True
    process.clear()
    return clean
