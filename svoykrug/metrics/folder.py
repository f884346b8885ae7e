"""Where the processes of one gunicorn keep their counters, so that any of them can tell the sum.

Each worker has two files mapped into memory, `counter_<pid>.db` and `histogram_<pid>.db`. Those of a
worker that ended are added up under the pid 0: a sum that falls would look like a restart.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Read by prometheus_client when it is first imported, and at each fork.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Room for each worker's counters. Taken at once: on a full disk a page that is missing later would kill
# the worker in the middle of a purchase.
RESERVED_BYTES = {"counter": 256 * 1024, "histogram": 2 * 1024 * 1024}


def current_folder() -> Path | None:
    """Return the folder of this server; None outside gunicorn, where a process counts for itself."""
    return Path(value) if (value := os.environ.get(VARIABLE)) else None


def open_folder(parent: Path) -> None:
    """Make the folder of this server under `parent`, and clear away those of servers that are gone."""
    own = parent / str(os.getpid())
    if os.environ.get(VARIABLE) == str(own):
        return  # The configuration is read again on a reload; the counters go on.
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in parent.iterdir():
        if left == own or not _is_alive(left.name):
            shutil.rmtree(left, ignore_errors=True)
    own.mkdir(mode=0o700)
    os.environ[VARIABLE] = str(own)


def reserve(pid: int) -> None:
    """Take the disk space of a new worker's counters."""
    for path, size in ((path, RESERVED_BYTES[kind]) for kind, path in _files(pid)):
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def bury(pid: int) -> None:
    """Add what a worker that ended had counted to the sum of the ended."""
    # Imported late: it looks at VARIABLE.
    from prometheus_client.mmap_dict import MmapedDict

    with locked(fcntl.LOCK_EX):
        for (_, path), (_, ended) in zip(_files(pid), _files(0), strict=True):
            if not path.exists():
                continue
            total = MmapedDict(str(ended))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                total.write_value(key, total.read_value(key)[0] + value, 0.0)
            total.close()
            path.unlink()


@contextmanager
def locked(how: int) -> Iterator[None]:
    """Keep counting up and burying apart, or a worker's counts would be seen twice or not at all."""
    with (_existing() / "lock").open("a") as lock:
        fcntl.flock(lock, how)
        yield


def remove_folder() -> None:
    """Clear away this server's folder, at its end."""
    shutil.rmtree(_existing(), ignore_errors=True)


def _existing() -> Path:
    folder = current_folder()
    assert folder, f"{VARIABLE} is set by open_folder"
    return folder


def _files(pid: int) -> list[tuple[str, Path]]:
    return [(kind, _existing() / f"{kind}_{pid}.db") for kind in RESERVED_BYTES]


def _is_alive(name: str) -> bool:
    if not name.isdecimal():
        return True  # Not ours to delete.
    with suppress(ProcessLookupError):
        try:
            os.kill(int(name), 0)
        except PermissionError:
            return True
        return True
    return False
