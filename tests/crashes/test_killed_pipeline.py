"""Workers and ClickHouse killed in the middle of the pipeline's work: no row is lost, none is doubled."""

import os
import random
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.utils import timezone

from analytics.clickhouse.client import connect
from analytics.clickhouse.migrate import apply_pending
from analytics.clickhouse.postgres_link import ensure_link
from analytics.errors import ClickHouseUnavailable
from analytics.models import SyncWindow
from analytics.selectors import freshness
from analytics.services.reconcile import reconcile
from analytics.services.sync import FACTS, refill_facts, sync_facts
from loyalty.models import Transaction
from svoykrug.embedded.clickhouse import ClickHouse
from svoykrug.embedded.folder import LocalFolder
from tests.analytics.rows import purchase
from tests.crashes.worker import (
    end_of,
    held_back,
    killed,
    start,
    sync_when_free,
    wait_for_insert,
    wait_for_quiet,
)
from tests.factories import BusinessFactory, MemberFactory
from tests.prove import at_length

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

KILLS = at_length(briefly=2, full=12)
SEED = 20
POINTS = {
    "sync-after-horizon": sync_facts,
    "sync-planned": sync_facts,
    "sync-acknowledged": sync_facts,
    "refill-before-swap": refill_facts,
    "refill-after-swap": refill_facts,
    "heal-before-swap": lambda: reconcile(at=timezone.now(), heal=True),
    "heal-after-swap": lambda: reconcile(at=timezone.now(), heal=True),
}


@pytest.fixture
def shop(transactional_db):
    """Return a way to make purchases, in two months, one of them long closed."""
    member, business = MemberFactory(), BusinessFactory()

    def buy(count=1):
        for number in range(count):
            days = 1 if number % 2 else 70
            purchase(member, business, "10.00", at=timezone.now() - timedelta(days=days))

    return buy


def carried(clickhouse):
    """Return the purchases as readers see them: none missing, none extra, none twice."""
    rows = clickhouse.run("SELECT transaction_id FROM transaction_facts FINAL").rows
    assert len(rows) == len(set(rows))
    return {row[0] for row in rows}


def stored():
    return set(Transaction.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_worker_leaves_no_hole_and_no_double(clickhouse, shop, point, proved):
    for _ in range(KILLS):
        shop(4)
        if point.startswith("heal"):
            sync_facts()
            clickhouse.run("ALTER TABLE transaction_facts DELETE WHERE 1", limits={"mutations_sync": 1})

        assert killed(POINTS[point], at=point)
        shop()
        if point.startswith("heal"):
            assert {each.outcome for each in reconcile(at=timezone.now(), heal=True)} <= {"equal", "healed"}
        else:
            sync_when_free()

        assert carried(clickhouse) == stored()
        assert not SyncWindow.objects.filter(status="planned").exists()
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    proved(f"{KILLS} kills")


def test_a_worker_killed_while_clickhouse_inserts(clickhouse, shop, proved):
    for _ in range(KILLS):
        shop(4)
        with held_back("transactions"):
            worker = start(sync_facts)
            wait_for_insert(clickhouse)
            os.kill(worker, signal.SIGKILL)
            assert end_of(worker) == signal.SIGKILL
            window = SyncWindow.objects.get(status="planned")
            assert window.table == "transaction_facts"
        # The insert that was left behind may still be on its way; the next run does not wait for it.
        sync_when_free()
        wait_for_quiet(clickhouse)

        assert carried(clickhouse) == stored()
    proved(f"{KILLS} kills")


def test_workers_killed_at_any_moment(clickhouse, shop, proved):
    dice, kills = random.Random(SEED), 0
    jobs = [sync_facts, refill_facts, lambda: reconcile(at=timezone.now(), heal=True)]
    for number in range(KILLS * 3):
        shop(2)
        worker = start(jobs[number % 3])
        time.sleep(dice.random() * 0.1)
        os.kill(worker, signal.SIGKILL)
        kills += end_of(worker) == signal.SIGKILL

    assert kills
    sync_when_free()
    wait_for_quiet(clickhouse)
    assert carried(clickhouse) == stored()
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    proved(f"{kills} kills of {KILLS * 3}, seed {SEED}")


@pytest.fixture
def own_clickhouse(tmp_path: Path, settings, transactional_db):
    """A ClickHouse of this test alone, migrated; the settings point at it."""
    server = ClickHouse(LocalFolder(tmp_path / "local"), print)
    server.spawn()
    server.wait()
    server.finish()
    settings.CLICKHOUSE_URL = server.address()
    apply_pending()
    with connect() as clickhouse:
        ensure_link(clickhouse)
    yield server
    if pid := server.pid():
        os.kill(pid, signal.SIGKILL)


def test_clickhouse_killed_in_the_middle_of_an_insert_and_back_later(own_clickhouse, shop):
    shop(3)
    sync_facts()
    as_of = freshness().as_of
    shop(3)
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
        with connect() as clickhouse:
            wait_for_insert(clickhouse)
        os.kill(own_clickhouse.pid(), signal.SIGKILL)
        beating.join()
    assert len(failures) == 1
    # Down for some beats: tills go on, the reports say how old they are.
    for _ in range(3):
        shop()
        with pytest.raises(ClickHouseUnavailable):
            sync_facts()
    assert SyncWindow.objects.filter(status="planned").count() == 1
    assert freshness().as_of == as_of

    own_clickhouse.spawn()
    own_clickhouse.wait()
    sync_facts()

    with connect() as clickhouse:
        assert carried(clickhouse) == stored()
    assert len(stored()) == 9
    assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
    assert SyncWindow.objects.filter(status="done").count() >= 2 * len(FACTS)
