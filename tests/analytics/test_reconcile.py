"""What ClickHouse lost, changed or doubled is found by month and rebuilt; what is late is not blamed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from analytics.clickhouse.fingerprint import HASHED
from analytics.models import Reconciliation, SyncWindow
from analytics.periods import oldest_kept
from analytics.services import reconcile as service
from analytics.services.reconcile import Months, reconcile
from analytics.services.sync import FACTS, refill_facts, sync_facts
from events.models import Event, EventRegistration
from tests.analytics.real_purchases import load_real_purchases
from tests.analytics.rows import purchase, refund
from tests.analytics.test_sync import LateCommit
from tests.factories import BusinessFactory, MemberFactory, give_bonuses
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
TABLE = "transaction_facts"
D = Decimal
# Every hundredth row, always the same ones.
# Of all months at length, of the last five briefly.
SOME = "cityHash64(transaction_id) % 100 = 0" + at_length(
    briefly=" AND timestamp > now() - INTERVAL 5 MONTH", full=""
)
COLUMNS = ", ".join(FACTS[TABLE])
DAMAGE = {
    "lost": f"ALTER TABLE {TABLE} DELETE WHERE {SOME}",
    "changed by a kopeck": f"ALTER TABLE {TABLE} UPDATE amount = amount + 0.01 WHERE {SOME}",
    "changed in a word": f"ALTER TABLE {TABLE} UPDATE category = concat(category, ' ') WHERE {SOME}",
    "doubled at another second": (
        f"INSERT INTO {TABLE} ({COLUMNS}) SELECT {COLUMNS.replace('timestamp,', 'timestamp + 1,')}"
        f" FROM {TABLE} WHERE {SOME}"
    ),
}


@pytest.fixture
def member(transactional_db):
    return MemberFactory()


@pytest.fixture
def business(transactional_db):
    return BusinessFactory()


def outcomes(months):
    return [(each.table, each.month, each.outcome.value) for each in months]


def month_of(moment):
    return int(f"{moment.astimezone(UTC):%Y%m}")


def content(clickhouse, table=TABLE):
    return clickhouse.run(f"SELECT {', '.join(FACTS[table])} FROM {table} FINAL ORDER BY ALL").rows


def test_every_fact_column_is_compared():
    assert {table: set(hashed.columns) for table, hashed in HASHED.items()} == {
        table: set(columns) for table, columns in FACTS.items()
    }


def test_one_row_in_a_hundred_damaged_is_found_and_healed(clickhouse, proved):
    lines = load_real_purchases()
    sync_facts()
    whole, healed_months = content(clickhouse), 0
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}

    for damage in DAMAGE.values():
        clickhouse.run(damage, limits={"mutations_sync": 1})
        assert content(clickhouse) != whole
        found = [each for each in reconcile(at=timezone.now()) if each.outcome != "equal"]
        assert {each.outcome for each in found} == {"differs"}

        healed = [each for each in reconcile(at=timezone.now(), heal=True) if each.outcome != "equal"]

        assert [each.month for each in healed] == [each.month for each in found]
        assert {each.outcome for each in healed} == {"healed"}
        assert content(clickhouse) == whole
        assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
        healed_months += len(healed)
    proved(f"{len(lines)} real rows, {len(DAMAGE)} kinds of damage, {healed_months} months healed")


def test_a_row_inserted_twice_is_one_row_to_readers_and_no_damage(clickhouse, member, business):
    purchase(member, business, "10.00", at=NOW - timedelta(days=40))
    sync_facts()
    clickhouse.run(f"INSERT INTO {TABLE} ({COLUMNS}) SELECT {COLUMNS} FROM {TABLE}")

    [month] = reconcile(at=NOW)

    assert (month.clickhouse.rows, month.clickhouse.amount, month.outcome) == (1, 1000, "equal")


def test_each_table_is_compared_and_healed_by_month(clickhouse, member, business):
    bought = purchase(
        member, business, "1249.50", at=NOW - timedelta(days=400), category="хлеб | 'свежий' \t\\"
    )
    refund(bought, "0.50", at=NOW - timedelta(days=399))
    lot = give_bonuses(member, business, "10.00", at=NOW - timedelta(days=3))
    event = Event.objects.create(organiser=member, business=business, title="Лекция", date=NOW)
    EventRegistration.objects.create(member=member, event=event, status="registered", party_size=2)
    sync_facts()
    before = {table: content(clickhouse, table) for table in FACTS}
    for table in FACTS:
        clickhouse.run(f"TRUNCATE TABLE {table}")

    done = reconcile(at=timezone.now(), heal=True)

    assert {(table, outcome) for table, _, outcome in outcomes(done)} == {(t, "healed") for t in FACTS}
    assert {(each.table, each.postgres.rows, each.clickhouse.rows) for each in done} >= {
        ("bonus_facts", lot.entries.count(), 0), ("event_facts", 1, 0),
    }  # fmt: skip
    assert {table: content(clickhouse, table) for table in FACTS} == before
    assert Reconciliation.objects.filter(outcome="healed").count() == len(done)


def test_rows_that_postgresql_never_had_leave_and_their_month_with_them(clickhouse, member, business):
    purchase(member, business, "10.00", at=NOW - timedelta(days=100))
    sync_facts()
    stray = int((NOW - timedelta(days=200)).timestamp())
    clickhouse.run(
        f"INSERT INTO {TABLE} (transaction_id, amount, timestamp) SELECT generateUUIDv4(), 7, {stray}"
    )

    done = reconcile(at=NOW, heal=True)

    assert [(each.postgres.rows, each.clickhouse.rows, each.outcome) for each in done] == [
        (0, 1, "healed"), (1, 1, "equal"),
    ]  # fmt: skip
    assert clickhouse.run(f"SELECT amount FROM {TABLE}").rows == [(D("10.00"),)]


def test_a_short_staging_is_refused_and_the_old_month_stands(clickhouse, member, business, monkeypatch):
    for days in (100, 100, 101):
        purchase(member, business, "10.00", at=NOW - timedelta(days=days))
    sync_facts()
    clickhouse.run(f"ALTER TABLE {TABLE} UPDATE amount = 1 WHERE 1", limits={"mutations_sync": 1})
    before = content(clickhouse)
    whole = service.insert_select
    for short in ("LIMIT 0", "LIMIT 1"):
        monkeypatch.setattr(
            service, "insert_select",
            lambda table, into, short=short: whole(table, into=into).replace(
                f"table = '{table}')", f"table = '{table}') AS rows SEMI JOIN"
                f" (SELECT transaction_id FROM {TABLE} ORDER BY 1 {short}) AS few USING transaction_id"
            ),
        )  # fmt: skip

        done = reconcile(at=NOW, heal=True)

        assert {each.outcome for each in done} == {"differs"}
        assert content(clickhouse) == before


def test_a_purchase_that_is_not_committed_yet_is_nobodys_fault(clickhouse, member, business):
    late = LateCommit(member, business)

    done = reconcile(at=timezone.now(), months=Months.CURRENT)

    # Neither the open purchase nor the one made after it has been carried; both sides leave them out.
    assert done == []
    late.commit()
    assert [(each.postgres.rows, each.outcome) for each in reconcile(at=timezone.now())] == [(2, "equal")]


def test_rows_carried_beyond_the_mark_by_a_refill_are_nobodys_fault(clickhouse, member, business):
    late = LateCommit(member, business)
    refill_facts()
    assert len(content(clickhouse)) == 1

    assert reconcile(at=timezone.now()) == []
    late.commit()


def test_ids_of_a_cluster_left_behind_do_not_hide_rows(clickhouse, member, business):
    """A dump restored into a new cluster brings rows whose transaction ids it has not reached."""
    bought = purchase(member, business, "10.00", at=NOW - timedelta(days=3))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE transactions DISABLE TRIGGER USER")
        cursor.execute("UPDATE transactions SET sync_xid = 1::bigint << 40 WHERE id = %s", [bought.pk])
        cursor.execute("ALTER TABLE transactions ENABLE TRIGGER USER")
    sync_facts()
    assert content(clickhouse) == []

    [month] = reconcile(at=NOW, heal=True)

    assert (month.postgres.rows, month.clickhouse.rows, month.outcome) == (1, 0, "healed")
    assert [row[0] for row in content(clickhouse)] == [bought.pk]


def test_months_beyond_retention_are_left_alone_and_late_rows_counted(clickhouse, member, business):
    edge = oldest_kept(NOW)
    purchase(member, business, "1.00", at=edge - timedelta(seconds=1))
    purchase(member, business, "2.00", at=edge + timedelta(seconds=1))
    sync_facts()
    # Recorded today for a month long closed.
    purchase(member, business, "4.00", at=NOW - timedelta(days=500))

    done = reconcile(at=NOW, months=Months.CLOSED)

    assert [(each.month, each.postgres.amount, each.outcome) for each in done] == [
        (month_of(edge), 200, "equal"), (month_of(NOW - timedelta(days=500)), 400, "equal"),
    ]  # fmt: skip


def test_the_current_month_and_the_closed_ones_are_all_months(clickhouse, member, business):
    at = datetime(NOW.year, NOW.month, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    for moment in (at - second, at):
        purchase(member, business, "1.00", at=moment)

    current = [each.month for each in reconcile(at=NOW, months=Months.CURRENT)]
    closed = [each.month for each in reconcile(at=NOW, months=Months.CLOSED)]

    assert (current, closed) == ([month_of(at)], [month_of(at - second)])
    assert [each.month for each in reconcile(at=NOW)] == closed + current


@pytest.mark.parametrize(
    ("at", "edge"),
    [
        (datetime(2026, 11, 22, 5, tzinfo=UTC), datetime(2024, 11, 23, 5, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_facts_are_kept_two_years(at, edge):
    assert oldest_kept(at) == edge


def test_the_command_names_what_differs_and_fails_until_it_is_healed(clickhouse, member, business):
    at = NOW - timedelta(days=40)
    purchase(member, business, "10.00", at=at)
    sync_facts()
    clickhouse.run(f"TRUNCATE TABLE {TABLE}")
    line = f"{at.astimezone(UTC):%Y-%m} {{}}: PostgreSQL 1 rows, 10.00, ClickHouse 0 rows, 0.00"

    out = StringIO()
    with pytest.raises(CommandError, match=r"1 months differ: run `manage\.py reconcile --heal`"):
        call_command("reconcile", stdout=out)
    assert line.format("differs") in out.getvalue()
    call_command("reconcile", "--heal", "--table", TABLE, stdout=out)
    assert line.format("healed") in out.getvalue()
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert out.getvalue().splitlines()[0] == f"{TABLE}: 1 rows in 1 months"


def test_while_a_sync_runs_nothing_is_compared(clickhouse, monkeypatch):
    monkeypatch.setattr(service, "PATIENCE", timedelta(0))
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(5701, 1)")
        assert reconcile(at=NOW) is None
    other.close()
    assert (SyncWindow.objects.count(), Reconciliation.objects.count()) == (0, 0)


def test_old_records_of_comparisons_are_forgotten(clickhouse, member, business):
    purchase(member, business, "10.00", at=NOW - timedelta(days=3))
    reconcile(at=NOW - timedelta(days=32))
    reconcile(at=NOW)

    assert list(Reconciliation.objects.values_list("created_at", flat=True)) == [NOW]
