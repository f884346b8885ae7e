"""What a month of facts holds, in three integers that PostgreSQL and ClickHouse work out alike.

Only integers and texts go into a row's digest, money as kopecks: ClickHouse prints 10.50 as 10.5. The
digest is the first 60 bits of the row's MD5; summed up it is the same in whatever order rows are read.
Texts stand last, so a separator inside one cannot imitate another row's columns.
"""

from dataclasses import dataclass

from .postgres_link import collection

MONEY = frozenset({"amount", "bonus_accrued", "bonus_redeemed", "coupon_discount"})
MOMENTS = frozenset({"timestamp", "given_at"})
SEPARATOR = "|"


@dataclass(frozen=True)
class Hashed:
    """Which columns of a fact table are looked at; `key` names the row, `summed` is added up."""

    key: str
    summed: str
    columns: tuple[str, ...]


HASHED = {
    "transaction_facts": Hashed(
        "transaction_id",
        "amount",
        (
            "transaction_id",
            "user_id",
            "business_id",
            "amount",
            "bonus_accrued",
            "timestamp",
            "kind",
            "receipt_id",
            "bonus_redeemed",
            "coupon_discount",
            "version",
            "category",
        ),
    ),
    "bonus_facts": Hashed(
        "entry_id",
        "amount",
        (
            "entry_id",
            "lot_id",
            "user_id",
            "issuer_business_id",
            "honoured_business_id",
            "kind",
            "amount",
            "timestamp",
            "given_at",
            "version",
        ),
    ),
    "event_facts": Hashed(
        "registration_id",
        "party_size",
        (
            "registration_id",
            "event_id",
            "user_id",
            "business_id",
            "party_size",
            "timestamp",
            "version",
            "status",
        ),
    ),
}


@dataclass(frozen=True)
class Sums:
    """Rows of a month, the sum of their kopecks (of an event's guests), the sum of their digests."""

    rows: int
    amount: int
    digest: int


NOTHING = Sums(0, 0, 0)


def postgres_sums(table: str) -> str:
    """Return the query of the sums by UTC month, and of the first transaction id not given out yet.

    Rows whose transaction is not below the mark have not been carried, or may not have been, and stay
    out: those of ids from `mark` up to the first that was not given out. An id beyond that was brought
    by a restored backup from its old cluster, and such a row was carried by the refill.

    Parameters: since, until (seconds since 1970), mark. One row at least; without a month if none.
    """
    hashed = HASHED[table]
    digest = ", ".join(_in_postgres(column) for column in hashed.columns)
    return f"""
        WITH now AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS upto)
        SELECT upto, month, rows, amount, digest FROM now
        LEFT JOIN LATERAL (
            SELECT to_char(to_timestamp(timestamp) AT TIME ZONE 'UTC', 'YYYYMM')::int AS month,
                count(*) AS rows, sum({_in_postgres(hashed.summed)})::bigint AS amount,
                sum(('x' || left(md5(concat_ws('{SEPARATOR}', {digest})), 15))::bit(60)::bigint) AS digest
            FROM export.{table}
            WHERE timestamp >= %(since)s AND timestamp < %(until)s
                AND NOT (sync_xid >= %(mark)s AND sync_xid < upto)
            GROUP BY month
        ) AS months ON true
    """  # noqa: S608  our own names


def clickhouse_sums(table: str, *, source: str) -> str:
    """Return the same of ClickHouse's rows in `source`, the table or its staging, as readers see them.

    Parameters: since, until, mark, and upto as PostgreSQL has just answered it.
    """
    hashed = HASHED[table]
    text = f", '{SEPARATOR}', ".join(_in_clickhouse(column) for column in hashed.columns)
    digest = f"bitShiftRight(reinterpretAsUInt64(reverse(substring(MD5(concat({text})), 1, 8))), 4)"
    return f"""
        SELECT toYYYYMM(timestamp) AS month,
            count(), sum({_as_integer(hashed.summed)}), sum(toInt128({digest}))
        FROM {source} FINAL
        WHERE timestamp >= toDateTime(%(since)s, 'UTC') AND timestamp < toDateTime(%(until)s, 'UTC')
            AND {hashed.key} NOT IN (
                SELECT assumeNotNull({hashed.key}) FROM postgresql({collection()}, table = '{table}')
                WHERE sync_xid >= %(mark)s AND sync_xid < %(upto)s
            )
        GROUP BY month
    """  # noqa: S608  our own names


def _in_postgres(column: str) -> str:
    return f"({column} * 100)::bigint" if column in MONEY else column


def _in_clickhouse(column: str) -> str:
    return f"toString({_as_integer(column)})"


def _as_integer(column: str) -> str:
    if column in MONEY:
        return f"toInt64({column} * 100)"
    return f"toUnixTimestamp({column})" if column in MOMENTS else column
