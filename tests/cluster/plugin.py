"""A pytest plugin, `-p tests.cluster.plugin`: whatever tests are named run against two ClickHouse nodes.

Without it the tests of tests/cluster are not collected: only `make cluster-test` starts their servers.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from django.conf import settings

from tests.cluster.servers import NAME, Cluster, missing

# Left out, and why.
UNFIT = {
    "test_one_row_in_a_hundred_damaged_is_found_and_healed": "takes a minute: 92 tables made on each node",
    "test_a_window_left_planned_by_an_outage_is_pulled_again": "a job asks a cluster before it plans",
}
CLUSTER = pytest.StashKey[Cluster]()


def pytest_sessionstart(session: pytest.Session) -> None:
    if missing():
        return
    settings.LOCAL_DIR.mkdir(mode=0o700, exist_ok=True)
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="cluster-", dir=settings.LOCAL_DIR)), print)
    session.config.stash[CLUSTER] = cluster
    cluster.start()
    settings.CLICKHOUSE_URL = cluster.address()
    settings.CLICKHOUSE_CLUSTER = NAME


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unfit = [item for item in items if item.name in UNFIT]
    config.hook.pytest_deselected(items=unfit)
    items[:] = [item for item in items if item.name not in UNFIT]
    if reason := missing():
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_unconfigure(config: pytest.Config) -> None:
    if cluster := config.stash.get(CLUSTER, None):
        cluster.stop()
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture
def cluster(pytestconfig: pytest.Config) -> Cluster:
    return pytestconfig.stash[CLUSTER]
