"""Two years of a coalition: 500,000 purchases of 10,000 members, 1,000,000 rows of audit."""

from functools import cache

from django.db import connection

from tests.bench.machine import ROOT


@cache
def history() -> None:
    """Load the rows of tests/explain.sql, once; other members' purchases may be there already."""
    with connection.cursor() as cursor:
        cursor.execute((ROOT / "tests" / "explain.sql").read_text())
        switch_triggers_on()
        cursor.execute("VACUUM ANALYZE")


def switch_triggers_on() -> None:
    """Let every trigger fire again: what is measured next must be proven and recorded as in earnest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgenabled = 'D'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
