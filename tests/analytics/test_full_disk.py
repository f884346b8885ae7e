"""ClickHouse's disk is full: it is said clearly, nothing is lost, and what waited comes when there is room.

Anybody may run it with a reserve of free space that no disk has, which ClickHouse then refuses to
touch. Where mounting is permitted a small disk is really filled to its last byte, too.
"""

import os
import signal
import subprocess
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from analytics.clickhouse.client import connect
from analytics.clickhouse.migrate import apply_pending
from analytics.clickhouse.postgres_link import ensure_link
from analytics.errors import ClickHouseFull, ClickHouseUnavailable
from analytics.models import SyncWindow
from analytics.services.reconcile import reconcile
from analytics.services.sync import refill_facts
from analytics.tasks import calculate_rfm_snapshots, sync_transactions_to_clickhouse
from loyalty.models import Business, Notification
from svoykrug.embedded.clickhouse import ClickHouse
from svoykrug.embedded.folder import LocalFolder
from tests.analytics.rows import purchase
from tests.factories import BusinessFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

MEGABYTE = 1024**2
RESERVE = """<clickhouse><storage_configuration><disks><default>
    <keep_free_space_bytes>{bytes}</keep_free_space_bytes>
</default></disks></storage_configuration></clickhouse>
"""


@contextmanager
def small_disk(place: Path):
    """Mount a disk of 64 MB there, or yield False where that is not permitted."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    try:
        permitted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        permitted = False
    try:
        yield permitted
    finally:
        if permitted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def place(tmp_path):
    """Return the folder of a server's data, and whether it is a disk of its own."""
    data = tmp_path / "local" / "clickhouse" / "data"
    LocalFolder(tmp_path / "local").create("clickhouse")
    data.mkdir()
    with small_disk(data) as mounted:
        yield data, mounted


@pytest.fixture
def own_clickhouse(place, tmp_path, settings, transactional_db):
    """A ClickHouse with that folder, migrated; the settings point at it."""
    write_reserve(tmp_path, 0)
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
    server.wait_for_end()


def write_reserve(tmp_path, size):
    folder = tmp_path / "local" / "clickhouse" / "conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "disk.xml").write_text(RESERVE.format(bytes=size))


@contextmanager
def reserved(tmp_path):
    """Let ClickHouse keep more space free than there is."""
    for size in (10**18, 0):
        write_reserve(tmp_path, size)
        with connect() as clickhouse:
            clickhouse.run("SYSTEM RELOAD CONFIG")
        if size:
            yield


@contextmanager
def filled(data):
    """Fill the disk to the last byte."""
    filler = data / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEGABYTE, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    assert os.statvfs(data).f_bavail == 0
    yield
    filler.unlink()


def stored():
    with connect() as clickhouse:
        return clickhouse.run("SELECT count(), sum(amount) FROM transaction_facts FINAL").rows


def test_a_full_disk_loses_nothing(own_clickhouse, place, tmp_path, proved, caplog):
    data, mounted = place
    staff = StaffFactory(business=Business.objects.get(is_programme=True)).member
    member, business = MemberFactory(), BusinessFactory()
    at = timezone.now() - timedelta(days=2)
    ways = {"reserve": lambda: reserved(tmp_path)} | ({"full": lambda: filled(data)} if mounted else {})
    for number, full in enumerate(ways.values()):
        purchase(member, business, "10.00", at=at)
        sync_transactions_to_clickhouse()
        before = stored()
        with full():
            purchase(member, business, "20.00", at=at)
            for _ in range(2):
                with pytest.raises(ClickHouseFull, match="no room on its disk"):
                    sync_transactions_to_clickhouse()
            for job in (refill_facts, calculate_rfm_snapshots):
                with pytest.raises(ClickHouseUnavailable):
                    job()
            assert stored() == before
            assert SyncWindow.objects.filter(status="planned").count() == 1

        sync_transactions_to_clickhouse()

        assert stored() != before
        assert {each.outcome for each in reconcile(at=timezone.now())} == {"equal"}
        assert not SyncWindow.objects.filter(status="planned").exists()
        calculate_rfm_snapshots()
        assert refill_facts()
        assert stored()[0][0] == 2 * (number + 1)
    [told] = Notification.objects.filter(template="pipeline_disk_full")
    assert told.member == staff
    assert "no room on its disk" in told.payload["reason"]
    assert "Facts wait in PostgreSQL until the next run" in caplog.text
    proved(
        "by " + " and ".join(ways) + ("" if mounted else "; a really full disk left out: no right to mount")
    )
