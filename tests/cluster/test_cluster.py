"""Two nodes that copy each other: everything is on both, and either alone is enough."""

import os
import signal
import threading
import time
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from analytics.clickhouse import client
from analytics.clickhouse.client import connect, database, with_database
from analytics.errors import ClickHouseUnavailable
from analytics.models import SyncWindow
from analytics.selectors import summary
from analytics.services.cross_promo import aggregate_cross_promo
from analytics.services.reconcile import reconcile
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import FACTS, refill_facts, sync_facts
from loyalty.models import Transaction
from tests.analytics.rows import purchase
from tests.clickhouse import fingerprint
from tests.cluster.servers import Cluster, Node
from tests.crashes.worker import held_back, wait_for_insert
from tests.factories import BusinessFactory, MemberFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

PATIENCE_SECONDS = 60
# A refill makes a table anew, so names alone would not tell.
TABLES = "SELECT name, uuid FROM system.tables WHERE database = currentDatabase() ORDER BY name"
ACTIVE = "SELECT max(active_replicas) FROM system.replicas"
TODAY = timezone.localdate()


@pytest.fixture
def shop(transactional_db):
    member, business = MemberFactory(), BusinessFactory()

    def buy(count: int) -> None:
        for number in range(count):
            days = 1 if number % 2 else 70
            purchase(member, business, "10.00", at=timezone.now() - timedelta(days=days))

    return buy


@pytest.fixture
def on_node(cluster: Cluster, settings):
    """Return a way to ask one node alone."""

    def ask(node: Node, query: str, **params):
        settings.CLICKHOUSE_URL, both = (
            with_database(cluster.address(node), database()),
            settings.CLICKHOUSE_URL,
        )
        try:
            with connect() as clickhouse:
                return query(clickhouse) if callable(query) else clickhouse.run(query, params).rows
        finally:
            settings.CLICKHOUSE_URL = both

    return ask


@pytest.fixture
def lost(cluster: Cluster):
    """Return a way to kill a node; it is back afterwards."""
    killed = []

    def kill(node: Node) -> None:
        killed.append(node)
        os.kill(node.pid(), signal.SIGKILL)

    yield kill
    for node in killed:
        if not node.answers():
            node.spawn()
            node.wait()


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It does not come about."
        time.sleep(0.1)


def test_the_migrations_make_every_table_on_both_nodes(clickhouse, cluster, on_node):
    query = (
        "SELECT t.name, engine, groupArray((c.name, c.type)) FROM system.tables t"
        " JOIN system.columns c ON c.table = t.name AND c.database = t.database"
        " WHERE t.database = currentDatabase() GROUP BY t.name, engine ORDER BY t.name"
    )
    one, other = (on_node(node, query) for node in cluster.nodes)

    assert one == other
    assert {name: engine for name, engine, _ in one} == {
        **dict.fromkeys(FACTS, "ReplicatedReplacingMergeTree"),
        "customer_forecasts": "ReplicatedReplacingMergeTree",
        "rfm_snapshots": "ReplicatedReplacingMergeTree",
        "cross_promo_conversions": "ReplicatedSummingMergeTree",
        "schema_migrations": "ReplicatedReplacingMergeTree",
    }


def test_rows_are_acknowledged_only_when_both_nodes_have_them(
    clickhouse, cluster, on_node, shop, monkeypatch
):
    monkeypatch.setattr(client, "CLUSTER_LIMITS", {**client.CLUSTER_LIMITS, "insert_quorum_timeout": 500})
    shop(4)
    on_node(cluster.nodes[1], "SYSTEM STOP FETCHES transaction_facts")

    with pytest.raises(ClickHouseUnavailable, match="lost a node in the middle"):
        sync_facts()
    assert SyncWindow.objects.filter(table="transaction_facts", status="planned").count() == 1

    on_node(cluster.nodes[1], "SYSTEM START FETCHES transaction_facts")
    sync_facts()
    for node in cluster.nodes:
        assert on_node(node, "SELECT count() FROM transaction_facts FINAL") == [(4,)]
    assert not SyncWindow.objects.filter(status="planned").exists()


def test_a_node_killed_in_the_middle_of_a_sync(clickhouse, cluster, on_node, shop, lost):
    """Work goes on with the other one; the lost one comes back and has the same rows."""
    first, second = cluster.nodes
    shop(4)
    sync_facts()
    shop(4)
    failures = []

    def beat():
        try:
            sync_facts()
        except ClickHouseUnavailable as error:
            failures.append(error)
        finally:
            connections.close_all()

    with held_back("transactions"):
        beating = threading.Thread(target=beat)
        beating.start()
        wait_for_insert(clickhouse)
        lost(first)
        beating.join()
    assert len(failures) == 1
    assert SyncWindow.objects.filter(status="planned").count() == 1

    # Reports go on at once; writing, as soon as the keeper has noticed.
    assert summary(None, start=TODAY - timedelta(days=365), end=TODAY).purchases == 4
    until(lambda: on_node(second, ACTIVE) == [(1,)])
    sync_facts()
    refill_facts()
    shop(4)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=timezone.now())
    aggregate_cross_promo(at=timezone.now())
    assert summary(None, start=TODAY - timedelta(days=365), end=TODAY).purchases == 12
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    alone = on_node(second, fingerprint)

    first.spawn()
    first.wait()
    until(lambda: on_node(first, TABLES) == on_node(second, TABLES))
    for table in (*FACTS, "rfm_snapshots", "cross_promo_conversions"):
        on_node(first, f"SYSTEM SYNC REPLICA {table}")
    assert on_node(first, fingerprint) == on_node(second, fingerprint) == alone
    stored = set(Transaction.objects.values_list("pk"))
    assert set(on_node(first, "SELECT transaction_id FROM transaction_facts FINAL")) == stored


def test_a_job_waits_until_the_node_that_came_back_knows_the_new_tables(
    clickhouse, cluster, on_node, shop, lost
):
    """Else it would write into the table that a refill has replaced, and the rows would go with it."""
    first, second = cluster.nodes
    shop(4)
    sync_facts()
    lost(first)
    until(lambda: on_node(second, ACTIVE) == [(1,)])
    refill_facts()
    shop(4)

    first.spawn()
    first.wait()
    sync_facts()

    until(lambda: on_node(first, TABLES) == on_node(second, TABLES))
    for node in cluster.nodes:
        on_node(node, "SYSTEM SYNC REPLICA transaction_facts")
        assert on_node(node, "SELECT count() FROM transaction_facts FINAL") == [(8,)]


def test_the_pipeline_goes_on_with_both_after_a_loss(clickhouse, cluster, on_node, shop, lost):
    """The other of the two this time, which no connection was open to."""
    second = cluster.nodes[1]
    lost(second)
    until(lambda: on_node(cluster.nodes[0], ACTIVE) == [(1,)])
    shop(4)
    sync_facts()
    second.spawn()
    second.wait()
    until(lambda: on_node(second, ACTIVE) == [(2,)])

    shop(4)
    sync_facts()
    refill_facts()

    for node in cluster.nodes:
        on_node(node, "SYSTEM SYNC REPLICA transaction_facts")
        assert on_node(node, "SELECT count() FROM transaction_facts FINAL") == [(8,)]
