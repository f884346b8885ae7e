"""The schema of ClickHouse: as the specification has it, applied once, frozen afterwards."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.clickhouse.client import connect, database, with_database
from analytics.clickhouse.migrate import SCHEMA_FILE, apply_pending, dump_schema, pending, read_migrations
from analytics.errors import MigrationChanged

UUID, MONEY, MOMENT, WORD = "UUID", "Decimal(18, 2)", "DateTime('UTC')", "LowCardinality(String)"
SQUARES = "Decimal(38, 4)"
# Specification, data-model.md, ClickHouse. Decimal64(2) is how one writes Decimal(18, 2).
TABLES: dict[str, dict[str, str]] = {
    "transaction_facts": {
        "transaction_id": UUID, "user_id": UUID, "business_id": UUID, "amount": MONEY,
        "bonus_accrued": MONEY, "category": "String", "timestamp": MOMENT, "kind": WORD,
        "receipt_id": UUID, "bonus_redeemed": MONEY, "coupon_discount": MONEY, "version": "UInt64",
    },
    "rfm_snapshots": {
        "snapshot_date": "Date", "user_id": UUID, "recency_days": "Int32", "frequency_count": "Int32",
        "monetary_value": MONEY, "rfm_segment": "String", "r_score": "UInt8", "f_score": "UInt8",
        "m_score": "UInt8", "calculated_at": "DateTime64(3, 'UTC')",
    },
    "cross_promo_conversions": {
        "date": "Date", "source_business_id": UUID, "target_business_id": UUID, "triggers": "Int32",
        "conversions": "Int32", "conversion_rate": "Float32", "treated": "Int32",
        "treated_visits": "Int32", "control": "Int32", "control_visits": "Int32",
        "treated_revenue": MONEY, "control_revenue": MONEY, "chain_id": UUID, "assignments": "Int32",
        "treated_revenue_squares": SQUARES, "control_revenue_squares": SQUARES, "discount": MONEY,
        "covered": MONEY, "still_open": "Int32",
    },
    "customer_forecasts": {
        "business_id": UUID, "user_id": UUID, "purchase_days": "Int32", "silent_days": "Int32",
        "spent": MONEY, "return_chance": "Float64", "expected_purchases": "Float64",
        "purchase_value": MONEY, "expected_value": MONEY, "calculated_at": "DateTime64(3, 'UTC')",
    },
    "bonus_facts": {
        "entry_id": UUID, "lot_id": UUID, "user_id": UUID, "issuer_business_id": UUID,
        "honoured_business_id": UUID, "kind": WORD, "amount": MONEY, "timestamp": MOMENT,
        "given_at": MOMENT, "version": "UInt64",
    },
    "event_facts": {
        "registration_id": UUID, "event_id": UUID, "user_id": UUID, "business_id": UUID,
        "status": WORD, "party_size": "UInt16", "timestamp": MOMENT, "version": "UInt64",
    },
}  # fmt: skip
SUMMED = (
    "triggers, conversions, treated, treated_visits, control, control_visits, treated_revenue,"
    " control_revenue, assignments, treated_revenue_squares, control_revenue_squares, discount, covered,"
    " still_open"
)
ENGINES = {
    "transaction_facts": (
        "ReplacingMergeTree(version)", "toYYYYMM(timestamp)", "user_id, timestamp, transaction_id",
        "timestamp + toIntervalMonth(24)",
    ),
    "rfm_snapshots": (
        "ReplacingMergeTree(calculated_at)", "", "user_id, snapshot_date",
        "snapshot_date + toIntervalMonth(12)",
    ),
    "cross_promo_conversions": (
        f"SummingMergeTree(({SUMMED}))", "toYYYYMM(date)",
        "date, source_business_id, target_business_id, chain_id",
        "date + toIntervalMonth(24)",
    ),
    "customer_forecasts": (
        "ReplacingMergeTree(calculated_at)", "", "business_id, calculated_at, user_id",
        "toDateTime(calculated_at) + toIntervalMonth(3)",
    ),
    "bonus_facts": (
        "ReplacingMergeTree(version)", "toYYYYMM(timestamp)", "issuer_business_id, timestamp, entry_id",
        "timestamp + toIntervalMonth(24)",
    ),
    "event_facts": (
        "ReplacingMergeTree(version)", "toYYYYMM(timestamp)", "event_id, user_id, registration_id",
        "timestamp + toIntervalMonth(24)",
    ),
}  # fmt: skip


@pytest.fixture
def empty_database(clickhouse_address: None, settings: Any) -> Iterator[None]:
    settings.CLICKHOUSE_URL = with_database(settings.CLICKHOUSE_URL, f"{database()}_migrations")
    with connect(to="default") as connection:
        connection.run(f"DROP DATABASE IF EXISTS {database()}")
        yield
        connection.run(f"DROP DATABASE IF EXISTS {database()}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (n Int8) ENGINE = Memory;\n")
    (tmp_path / "0002_b.sql").write_text(
        "-- Two steps.\nCREATE TABLE IF NOT EXISTS b (n Int8) ENGINE = Memory;\n\n"
        "ALTER TABLE b ADD COLUMN IF NOT EXISTS m Int8;\n"
    )
    return tmp_path


def names(folder: Path) -> list[str]:
    return [migration.name for migration in pending(folder)]


def run(*args: str) -> str:
    out = StringIO()
    call_command("migrate_clickhouse", *args, stdout=out)
    return out.getvalue()


def test_tables_have_the_columns_of_the_specification(clickhouse_database):
    with connect() as connection:
        rows = connection.run(
            "SELECT table, name, type FROM system.columns WHERE database = %(database)s"
            " AND table != 'schema_migrations'",
            {"database": database()},
        ).rows

    columns: dict[str, dict[str, str]] = {}
    for table, name, kind in rows:
        columns.setdefault(table, {})[name] = kind
    assert columns == TABLES


def test_tables_have_the_engines_keys_and_retention_of_the_specification(clickhouse_database):
    with connect() as connection:
        rows = connection.run(
            "SELECT name, splitByString(' ', replaceAll(engine_full, ', ', ','))[1], partition_key,"
            " sorting_key, extract(engine_full, 'TTL (.+?) SETTINGS')"
            " FROM system.tables WHERE database = %(database)s AND name != 'schema_migrations'",
            {"database": database()},
        ).rows

    assert {name: tuple(rest) for name, *rest in rows} == {
        name: (engine.replace(", ", ","), *rest) for name, (engine, *rest) in ENGINES.items()
    }


def test_conversion_rate_is_divided_on_reading_and_never_stored(clickhouse):
    nobody = "00000000-0000-0000-0000-000000000000"
    clickhouse.run(
        "INSERT INTO cross_promo_conversions (date, source_business_id, target_business_id, triggers,"
        f" conversions) SELECT today(), '{nobody}', '{nobody}', 4, 1 FROM numbers(2)"
    )
    clickhouse.run("OPTIMIZE TABLE cross_promo_conversions FINAL")

    rows = clickhouse.run("SELECT triggers, conversions, conversion_rate FROM cross_promo_conversions").rows

    assert rows == [(8, 2, 0.25)]


def test_schema_file_is_the_dump_after_all_migrations(clickhouse_database):
    assert SCHEMA_FILE.read_text(encoding="utf-8") == dump_schema()


def test_plan_lists_what_is_pending_and_changes_nothing(empty_database, folder):
    assert names(folder) == ["0001_a", "0002_b"]
    assert names(folder) == ["0001_a", "0002_b"]


def test_migrations_are_applied_once_in_order(empty_database, folder):
    assert [migration.name for migration in apply_pending(folder)] == ["0001_a", "0002_b"]
    assert apply_pending(folder) == []
    with connect() as connection:
        assert connection.run("SELECT name FROM system.columns WHERE table = 'b' AND database = %(d)s"
                              " ORDER BY name", {"d": database()}).rows == [("m",), ("n",)]  # fmt: skip


def test_a_file_that_stopped_halfway_is_applied_again(empty_database, folder):
    apply_pending(folder)
    (folder / "0003_c.sql").write_text(
        "CREATE TABLE IF NOT EXISTS c (n Int8) ENGINE = Memory;\nALTER TABLE c ADD COLUMN m Nonsense;\n"
    )
    with pytest.raises(Exception, match="Nonsense"):
        apply_pending(folder)
    (folder / "0003_c.sql").write_text("CREATE TABLE IF NOT EXISTS c (n Int8) ENGINE = Memory;\n")

    assert [migration.name for migration in apply_pending(folder)] == ["0003_c"]


def test_an_edited_file_is_refused(empty_database, folder):
    apply_pending(folder)
    (folder / "0001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (n Int16) ENGINE = Memory;\n")

    with pytest.raises(MigrationChanged, match="0001_a was edited after it was applied"):
        apply_pending(folder)


def test_a_file_that_is_gone_is_refused(empty_database, folder):
    apply_pending(folder)
    (folder / "0002_b.sql").unlink()

    with pytest.raises(MigrationChanged, match="0002_b was applied to ClickHouse, but its file is gone"):
        pending(folder)


def test_check_fails_while_something_is_pending(empty_database):
    with pytest.raises(SystemExit) as exit_:
        run("--check")

    assert exit_.value.code == 1


def test_check_passes_when_nothing_is_pending(clickhouse_database):
    assert run("--check") == "Nothing to apply.\n"


def test_plan_command_names_the_files(empty_database):
    assert run("--plan").splitlines() == [migration.name for migration in read_migrations()]


@pytest.mark.parametrize("command", ["migrate_clickhouse", "sync_clickhouse", "refill_clickhouse", "rfm"])
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_clickhouse_that_is_down_is_one_clear_line(settings, caplog, command):
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/nowhere"

    with pytest.raises(CommandError) as error:
        call_command(command, stdout=StringIO())

    assert str(error.value).startswith("ClickHouse at 127.0.0.1:1 does not answer: ")
    assert len(str(error.value).splitlines()) == 1
    assert [record.name for record in caplog.records if record.name.startswith("clickhouse_driver")] == []


def test_an_address_of_another_kind_is_named(settings):
    settings.CLICKHOUSE_URL = "http://127.0.0.1:8123/svoykrug"

    with pytest.raises(CommandError, match="CLICKHOUSE_URL must read clickhouse://"):
        call_command("migrate_clickhouse", "--plan", stdout=StringIO())


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_unmigrated_clickhouse_says_what_to_run(empty_database):
    with pytest.raises(CommandError, match=r"is not migrated: run `manage\.py migrate_clickhouse`"):
        call_command("sync_clickhouse", stdout=StringIO())
