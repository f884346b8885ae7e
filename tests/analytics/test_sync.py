"""Facts arrive once, all of them, whatever breaks on the way."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from analytics.clickhouse.client import Connection
from analytics.clickhouse.postgres_link import ROLE, ensure_role, role_password
from analytics.errors import ClickHouseUnavailable, SyncRefused
from analytics.models import SyncWindow
from analytics.selectors import freshness
from analytics.services.sync import FACTS, refill_facts, sync_facts
from events.models import Event, EventRegistration
from loyalty.models import BonusEntry, BonusLot
from promos.services.checkout import record_purchase
from promos.services.purchases import PurchaseRequest
from tests.analytics.rows import purchase, refund
from tests.factories import BusinessFactory, MemberFactory, give_bonuses, invite

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

# Half past midnight on the 1st in Moscow is still the month before in UTC.
MONTH_EDGE = (timezone.localtime() - timedelta(days=40)).replace(
    day=1, hour=0, minute=30, second=7, microsecond=900_000
)
D = Decimal


@pytest.fixture
def member(transactional_db: None) -> Any:
    return MemberFactory()


@pytest.fixture
def business(transactional_db: None) -> Any:
    return BusinessFactory()


def facts(clickhouse: Connection, table: str = "transaction_facts", columns: str = "transaction_id") -> list:
    return sorted(clickhouse.run(f"SELECT {columns} FROM {table} FINAL").rows)


def carried() -> dict[str, int]:
    return {table.table: table.rows for table in sync_facts() or ()}


def test_a_purchase_arrives_column_by_column(clickhouse, member, business):
    bought = purchase(member, business, "1249.50", at=MONTH_EDGE, category="хлеб, 'свежий' \t\\")

    assert carried() == {"transaction_facts": 1, "bonus_facts": 0, "event_facts": 0}

    [row] = facts(clickhouse, columns=", ".join(FACTS["transaction_facts"]))
    assert row == (
        bought.pk, member.pk, business.pk, D("1249.50"), D("3.50"), "хлеб, 'свежий' \t\\",
        MONTH_EDGE.astimezone(UTC).replace(microsecond=0), "purchase", bought.pk, D("0"), D("0"), 1,
    )  # fmt: skip
    month = f"{MONTH_EDGE.astimezone(UTC):%Y%m}"
    parts = "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase()"
    assert clickhouse.run(parts + " AND table = 'transaction_facts'").rows == [(month,)]


def test_a_refund_is_negative_and_names_its_receipt(clickhouse, member, business):
    bought = purchase(member, business, "500.00", at=MONTH_EDGE)
    back = refund(bought, "120.10", at=MONTH_EDGE + timedelta(days=1))

    sync_facts()

    rows = facts(clickhouse, columns="amount, kind, transaction_id, receipt_id")
    assert rows == [
        (D("-120.10"), "refund", back.pk, bought.pk),
        (D("500.00"), "purchase", bought.pk, bought.pk),
    ]


def test_a_ledger_entry_carries_the_lots_issuer(clickhouse, member, business):
    honouring = BusinessFactory(can_accrue=False, requires_presence_code=False)
    lot = give_bonuses(member, business, "10.00", at=MONTH_EDGE)
    record_purchase(
        PurchaseRequest(
            business=honouring, external_id="1", member_id=member.pk, amount=Decimal("20.00"),
            redeem=Decimal("4.00"), purchased_at=MONTH_EDGE,
        ),
        at=MONTH_EDGE,
    )  # fmt: skip

    assert carried()["bonus_facts"] == 2

    nobody = type(lot.pk)(int=0)
    columns = "amount, kind, lot_id, user_id, issuer_business_id, honoured_business_id"
    assert facts(clickhouse, "bonus_facts", columns) == [
        (D("-4.00"), "redemption", lot.pk, member.pk, business.pk, honouring.pk),
        (D("10.00"), "accrual", lot.pk, member.pk, business.pk, nobody),
    ]


def test_a_ledger_entry_says_when_its_lot_was_given(clickhouse, member):
    shop, newcomer = BusinessFactory(requires_presence_code=False, pending_days=2), MemberFactory()
    invite(member, newcomer)
    for number, at in enumerate((MONTH_EDGE, MONTH_EDGE + timedelta(days=3))):
        bought = PurchaseRequest(
            business=shop, external_id=f"{number}", member_id=newcomer.pk, amount=Decimal("1000.00"),
            redeem=Decimal(number), purchased_at=at,
        )  # fmt: skip
        record_purchase(bought, at=timezone.now())

    sync_facts()

    entries = BonusEntry.objects.order_by("pk")
    given = {entry.lot_id: int(entry.created_at.timestamp()) for entry in entries if entry.kind == "accrual"}
    assert {lot.kind for lot in BonusLot.objects.all()} == {"purchase", "referral"}
    assert entries.filter(kind="redemption").exists()
    assert facts(clickhouse, "bonus_facts", "entry_id, toUnixTimestamp(given_at)") == sorted(
        (entry.pk, given[entry.lot_id]) for entry in entries
    )


def test_a_registration_is_one_row_in_its_latest_state(clickhouse, member, business):
    event = Event.objects.create(organiser=member, business=business, title="Лекция", date=timezone.now())
    place = EventRegistration.objects.create(member=member, event=event, status="registered", party_size=2)
    sync_facts()
    EventRegistration.objects.filter(pk=place.pk).update(status="waiting")
    EventRegistration.objects.filter(pk=place.pk).update(status="attended")

    assert carried()["event_facts"] == 1

    columns = "registration_id, business_id, status, party_size, version"
    assert facts(clickhouse, "event_facts", columns) == [(place.pk, business.pk, "attended", 2, 3)]


def test_each_row_is_carried_once(clickhouse, member, business):
    purchase(member, business, "10.00", at=MONTH_EDGE)
    assert carried()["transaction_facts"] == 1
    assert carried()["transaction_facts"] == 0
    purchase(member, business, "20.00", at=MONTH_EDGE - timedelta(days=20))

    assert carried()["transaction_facts"] == 1
    assert facts(clickhouse, columns="amount") == [(D("10.00"),), (D("20.00"),)]


def test_a_window_left_planned_by_an_outage_is_pulled_again(clickhouse, member, business, settings):
    purchase(member, business, "10.00", at=MONTH_EDGE)
    right = settings.CLICKHOUSE_URL
    settings.CLICKHOUSE_URL = "clickhouse://default@127.0.0.1:1/nowhere"
    with pytest.raises(ClickHouseUnavailable):
        sync_facts()
    left = SyncWindow.objects.get(table="transaction_facts")
    assert (left.status, left.from_xid) == ("planned", 0)
    settings.CLICKHOUSE_URL = right
    purchase(member, business, "20.00", at=MONTH_EDGE)

    assert carried()["transaction_facts"] == 2

    left.refresh_from_db()
    assert (left.status, left.rows) == ("done", 1)
    assert facts(clickhouse, columns="amount") == [(D("10.00"),), (D("20.00"),)]


def test_a_window_pulled_twice_gives_no_doubles(clickhouse, member, business):
    purchase(member, business, "10.00", at=MONTH_EDGE)
    sync_facts()
    # As if this process had died between ClickHouse's answer and the mark.
    SyncWindow.objects.filter(table="transaction_facts").update(status="planned")

    assert carried()["transaction_facts"] == 1
    assert facts(clickhouse, columns="amount") == [(D("10.00"),)]


def test_two_syncs_never_run_at_once(clickhouse):
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(5701, 1)")
        assert sync_facts() is None
        assert refill_facts() is None
        assert SyncWindow.objects.count() == 0
        cursor.execute("SELECT pg_advisory_unlock(5701, 1)")
    other.close()

    assert carried() == {"transaction_facts": 0, "bonus_facts": 0, "event_facts": 0}


class LateCommit:
    """A till whose transaction stays open while another purchase is made and committed."""

    def __init__(self, member: Any, business: Any) -> None:
        self.connection = connection.copy()
        self.connection.set_autocommit(False)
        with self.connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO transactions (id, user_id, business_id, kind, amount, coupon_discount,"
                " bonus_redeemed, bonus_accrued, category, request_hash, source, explanation, created_at,"
                " recorded_at, sync_xid) VALUES (gen_random_uuid(), %s, %s, 'purchase', 1, 0, 0, 0, '', '',"
                " 'till', '{}', now(), now(), 0)",
                [member.pk, business.pk],
            )
        purchase(member, business, "2.00", at=timezone.now())

    def commit(self) -> None:
        self.connection.commit()
        self.connection.close()


def test_a_purchase_committed_after_a_sync_is_carried_by_the_next(clickhouse, member, business):
    late = LateCommit(member, business)
    sync_facts()
    late.commit()
    sync_facts()

    assert facts(clickhouse, columns="amount") == [(D("1.00"),), (D("2.00"),)]


def test_a_transaction_open_in_another_database_holds_nothing_back(clickhouse, member, business):
    elsewhere = {**connection.get_connection_params(), "dbname": "postgres"}
    elsewhere.pop("cursor_factory"), elsewhere.pop("context")
    with psycopg.connect(**elsewhere) as other:
        other.execute("SELECT pg_current_xact_id()")
        bought = purchase(member, business, "10.00", at=MONTH_EDGE)

        sync_facts()

        assert facts(clickhouse) == [(bought.pk,)]


def test_a_cursor_on_time_would_lose_that_purchase(member, business):
    def later_than(moment: datetime) -> list[tuple[datetime, Decimal]]:
        with connection.cursor() as cursor:
            query = "SELECT recorded_at, amount FROM transactions WHERE recorded_at > %s ORDER BY 1"
            cursor.execute(query, [moment])
            return cursor.fetchall()

    late = LateCommit(member, business)
    first = later_than(datetime.min.replace(tzinfo=UTC))
    late.commit()
    second = later_than(first[-1][0])

    assert [amount for _, amount in first + second] == [D("2.00")]


def test_a_restored_cluster_is_refused_until_a_refill(clickhouse, member, business):
    purchase(member, business, "10.00", at=MONTH_EDGE)
    sync_facts()
    SyncWindow.objects.update(system_identifier="1")
    with pytest.raises(SyncRefused, match=r"run `manage\.py refill_clickhouse`"):
        sync_facts()

    refill_facts()

    assert carried() == {"transaction_facts": 0, "bonus_facts": 0, "event_facts": 0}
    assert facts(clickhouse, columns="amount") == [(D("10.00"),)]


def test_a_cluster_set_back_in_time_is_refused(clickhouse):
    sync_facts()
    SyncWindow.objects.update(to_xid=2**40)

    with pytest.raises(SyncRefused, match="gone back behind the mark"):
        sync_facts()


def test_refill_replaces_whatever_the_table_held(clickhouse, member, business):
    bought = purchase(member, business, "10.00", at=MONTH_EDGE)
    sync_facts()
    clickhouse.run(
        "INSERT INTO transaction_facts (transaction_id, amount, timestamp) SELECT generateUUIDv4(), 7, now()"
    )
    out = StringIO()

    call_command("refill_clickhouse", "--table", "transaction_facts", stdout=out)

    assert facts(clickhouse) == [(bought.pk,)]
    assert out.getvalue().startswith("transaction_facts: 1 rows in ")
    assert carried()["transaction_facts"] == 0
    tables = clickhouse.run(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%%_refill'"
    ).rows
    assert tables == [(0,)]


def test_freshness_is_that_of_the_table_left_behind(clickhouse):
    assert freshness().as_of is None
    assert freshness().lag(at=timezone.now()) is None
    sync_facts()
    behind = timezone.now() - timedelta(hours=2)
    SyncWindow.objects.filter(table="bonus_facts").update(created_at=behind)

    assert freshness().as_of == behind
    assert freshness().lag(at=behind + timedelta(minutes=7)) == timedelta(minutes=7)


def test_the_export_role_reads_the_views_in_utc_and_nothing_else(clickhouse_database):
    ensure_role()
    address = connection.settings_dict
    with psycopg.connect(
        host=address["HOST"], port=address["PORT"], dbname=address["NAME"], user=ROLE,
        password=role_password(), autocommit=True,
    ) as as_role:  # fmt: skip
        assert as_role.execute("SHOW timezone").fetchone() == ("UTC",)
        assert as_role.execute("SELECT count(*) FROM export.transaction_facts").fetchone() == (0,)
        for table in ("transactions", "users", "api_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_role.execute(f"SELECT 1 FROM {table}")
        as_role.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role.execute("DELETE FROM export.transaction_facts")
