"""Facts by the million, made inside ClickHouse, and their members in PostgreSQL."""

from datetime import date, datetime, timedelta
from functools import cache

from django.db import connection

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.services.sync import FACTS
from tests.bench.world import people

TABLE, ENTRIES = "transaction_facts", "bonus_facts"
BUSINESSES = 20
MILLION = 1_000_000

# Purchases of 370 days, so that each night some leave the year behind; evenly over members and
# businesses, each its own receipt.
PURCHASES = f"""
INSERT INTO {TABLE} ({", ".join(FACTS[TABLE])})
SELECT id, member, business, 100 + number %% 900, 1, 'tea', at, 'purchase', id, 0, 0, 1
FROM (
    SELECT number, cityHash64(number) AS hash,
        toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))) AS id,
        toUUID(concat('00000000-0000-7000-9000-',
            leftPad(toString(hash %% %(members)s), 12, '0'))) AS member,
        toUUID(concat('00000000-0000-7000-a000-',
            leftPad(toString(number %% {BUSINESSES}), 12, '0'))) AS business,
        toDateTime(%(until)s - toInt64(intDiv(hash, 1000000) %% 32000000), 'UTC') AS at
    FROM numbers(%(first)s, %(count)s)
)
"""
# Lots given over 20 months, each with an end within the year after: spent, lapsed or taken back, in part.
LEDGER = f"""
INSERT INTO {ENTRIES} ({", ".join(FACTS[ENTRIES])})
SELECT toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))),
    toUUID(concat('00000000-0000-7000-c000-', leftPad(toString(lot), 12, '0'))),
    toUUID(concat('00000000-0000-7000-9000-', leftPad(toString(hash %% %(members)s), 12, '0'))),
    toUUID(concat('00000000-0000-7000-a000-', leftPad(toString(lot %% {BUSINESSES}), 12, '0'))),
    toUUID('00000000-0000-0000-0000-000000000000'),
    if(opens, 'accrual', ['redemption', 'expiry', 'reversal', 'redemption'][1 + hash %% 4]),
    if(opens, 10, -(1 + further %% 10)),
    toDateTime(if(opens, given, least(given + further %% 31000000, %(until)s)), 'UTC'),
    toDateTime(given, 'UTC'),
    1
FROM (
    SELECT number, intDiv(number, 2) AS lot, number %% 2 = 0 AS opens, cityHash64(lot) AS hash,
        intDiv(hash, 1000) AS further,
        %(until)s - toInt64(intDiv(hash, 1000000) %% 52000000) AS given
    FROM numbers(%(first)s, %(count)s)
)
"""
# A chain from each business to each, on each day of the last year.
CONVERSIONS = f"""
INSERT INTO cross_promo_conversions (date, source_business_id, target_business_id, chain_id, triggers,
    conversions, assignments, treated, treated_visits, control, control_visits, treated_revenue,
    control_revenue, treated_revenue_squares, control_revenue_squares)
SELECT toDate(%(today)s) - 1 - intDiv(number, {BUSINESSES**2}),
    toUUID(concat('00000000-0000-7000-a000-',
        leftPad(toString(intDiv(number, {BUSINESSES}) %% {BUSINESSES}), 12, '0'))),
    toUUID(concat('00000000-0000-7000-a000-',
        leftPad(toString(number %% {BUSINESSES}), 12, '0'))),
    toUUID(concat('00000000-0000-7000-b000-', leftPad(toString(number %% {BUSINESSES**2}), 12, '0'))),
    20, 5, 25, 20, 6, 5, 1, 3000, 500, 500000, 250000
FROM numbers(365 * {BUSINESSES**2})
"""
MEMBERS = """
INSERT INTO users SELECT (jsonb_populate_record(model, jsonb_build_object(
    'id', '00000000-0000-7000-9000-' || lpad(number::text, 12, '0'),
    'phone', NULL, 'card_number', 'facts-' || number, 'referral_code', 'FACTS' || number
))).*
FROM users AS model, generate_series(0, %(count)s - 1) AS number
WHERE model.id = %(model)s
ON CONFLICT DO NOTHING
"""

COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'transactions'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
"""
UNNEEDED = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE indrelid = 'transactions'::regclass AND pg_get_indexdef(indexrelid) NOT LIKE '%(sync_xid)%'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def fill(clickhouse: Connection, *, facts: int, members: int, at: datetime) -> None:
    """Put so many purchases in place of whatever the table holds, merged as they are an hour later."""
    _fill(clickhouse, TABLE, PURCHASES, rows=facts, members=members, at=at)


def fill_ledger(clickhouse: Connection, *, entries: int, members: int, at: datetime) -> None:
    """The same with so many movements of half as many lots."""
    _fill(clickhouse, ENTRIES, LEDGER, rows=entries, members=members, at=at)


def _fill(clickhouse: Connection, table: str, insert: str, *, rows: int, members: int, at: datetime) -> None:
    clickhouse.run(f"TRUNCATE TABLE {table}")
    until = int((at - timedelta(days=2)).timestamp())
    for first in range(0, rows, 5 * MILLION):
        count = min(5 * MILLION, rows - first)
        values = {"first": first, "count": count, "members": members, "until": until}
        clickhouse.run(insert, values, limits=WORK_LIMITS)
    clickhouse.run(f"OPTIMIZE TABLE {table} FINAL", limits=WORK_LIMITS)


def fill_matrix(clickhouse: Connection, *, today: date) -> None:
    clickhouse.run("TRUNCATE TABLE cross_promo_conversions")
    clickhouse.run(CONVERSIONS, {"today": today.isoformat()}, limits=WORK_LIMITS)
    clickhouse.run("OPTIMIZE TABLE cross_promo_conversions FINAL", limits=WORK_LIMITS)


@cache
def members_in_postgresql(count: int) -> None:
    """Let PostgreSQL know the members of the generated purchases, who get segments there."""
    everybody, _ = people()
    with connection.cursor() as cursor:
        # The audit of a million made-up members is not what is measured.
        cursor.execute("ALTER TABLE users DISABLE TRIGGER USER")
        cursor.execute(MEMBERS, {"count": count, "model": everybody[0].pk})
        cursor.execute("ALTER TABLE users ENABLE TRIGGER USER")
        cursor.execute("ANALYZE users")


def business(number: int) -> str:
    return f"00000000-0000-7000-a000-{number:012}"


def purchases_in_postgresql(count: int, *, members: int, first: int = 0) -> None:
    """Add purchases of these members by one statement, without the explanations, which no fact carries.

    The first call leaves only the indexes that the pipeline asks: what is measured reads the table whole
    or by transaction id.
    """
    everybody, _ = people()
    own = {
        "id": "('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid",
        "user_id": "('00000000-0000-7000-9000-' || lpad((number % %(members)s)::text, 12, '0'))::uuid",
        "external_id": "NULL",
        "explanation": "'{}'",
        "amount": "100 + number % 900",
        "created_at": "now() - interval '2 days' - number % 32000000 * interval '1 second'",
        "sync_xid": "pg_current_xact_id()::text::bigint",
    }
    with connection.cursor() as cursor:
        cursor.execute(UNNEEDED)
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute(COLUMNS)
        columns = [name for (name,) in cursor.fetchall()]
        values = ", ".join(own.get(name, f"model.{name}") for name in columns).replace(
            "number %", "number %%"
        )
        cursor.execute("ALTER TABLE transactions DISABLE TRIGGER ALL")
        cursor.execute(
            f"INSERT INTO transactions ({', '.join(columns)}) SELECT {values}"
            " FROM (SELECT * FROM transactions WHERE user_id = %(model)s LIMIT 1) AS model,"
            " generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS number"
            " ON CONFLICT DO NOTHING",
            {"members": members, "model": everybody[0].pk, "first": first, "count": count},
        )
        cursor.execute("ALTER TABLE transactions ENABLE TRIGGER ALL")
        cursor.execute("ANALYZE transactions")
