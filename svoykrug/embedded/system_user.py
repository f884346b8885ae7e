"""PostgreSQL refuses to run as root, so root runs it as a system user that may reach its own files only."""

import os
import pwd
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from svoykrug.embedded.errors import EmbeddedError

NAME = "svoykrug"


def postgres_user() -> str | None:
    """Return the system user PostgreSQL runs as, created once; nothing when root is not at work."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(NAME).pw_name
    except KeyError:
        pass
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        NAME,
    ]
    try:
        subprocess.run(command, capture_output=True, text=True)
        return pwd.getpwnam(NAME).pw_name
    except (FileNotFoundError, KeyError):
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and the system user {NAME} could not be created: "
            "work as an ordinary user, or set DATABASE_URL."
        ) from None


def hand_over(folder: Path, user: str) -> None:
    """Make the user the owner of the folder itself."""
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)


def let_through(path: Path, user: str, tell: Callable[[str], None]) -> None:
    """Let the user pass (not list) every folder above `path`."""
    entry = pwd.getpwnam(user)
    for parent in reversed(path.parents):
        status = parent.stat()
        if status.st_uid == entry.pw_uid:
            passable = status.st_mode & stat.S_IXUSR
        elif status.st_gid == entry.pw_gid:
            passable = status.st_mode & stat.S_IXGRP
        else:
            passable = status.st_mode & stat.S_IXOTH
        if not passable:
            parent.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            tell(f"{parent} may now be passed (o+x): PostgreSQL runs as {user}, not as root")
