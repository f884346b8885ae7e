"""Two years of a coalition: 500,000 purchases of 10,000 members, 1,000,000 rows of audit."""

from functools import cache

from django.db import connection

from tests.bench.machine import ROOT

TRIGGERED = ("transactions", "bonus_entries", "event_registrations")


@cache
def history() -> None:
    """Load the rows of tests/explain.sql, once."""
    with connection.cursor() as cursor:
        cursor.execute((ROOT / "tests" / "explain.sql").read_text())
        for table in TRIGGERED:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE")
