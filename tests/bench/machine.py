"""Where the figures were measured: machine, versions, commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import django
from django.db import connection

from analytics.clickhouse.client import connect

ROOT = Path(__file__).resolve().parent.parent.parent


def machine() -> dict[str, Any]:
    """Return cores, processor, memory and the versions of what the figures depend on."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgresql,) = cursor.fetchone()
    with connect(to="default") as clickhouse:
        [(clickhouse_version,)] = clickhouse.run("SELECT version()").rows
    return {
        "cores": os.cpu_count(),
        "cpu": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "python": platform.python_version(),
        "django": django.get_version(),
        "postgresql": postgresql.split()[0],
        "clickhouse": clickhouse_version,
    }


def commit() -> str:
    """Return the commit's id, marked when the folder holds more than it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
