"""gunicorn's workers count together, a killed one's counts stay, and nothing is left on the disk."""

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.conf import settings

from svoykrug.embedded.ports import LOOPBACK, choose_port
from svoykrug.metrics import folder
from tests.svoykrug.test_metrics import values

PATIENCE_SECONDS = 60
HEALTH = (
    "svoykrug_http_requests_total", ("method", "GET"), ("route", "healthz"), ("status", "200"),
)  # fmt: skip


@contextmanager
def gunicorn(place):
    port = choose_port(None)
    environment = {**os.environ, "METRICS_FOLDER": str(place)}
    command = [
        sys.executable, "-m", "gunicorn", "svoykrug.wsgi", "--bind", f"{LOOPBACK}:{port}", "--workers", "3",
        "--preload", "--no-control-socket", "--log-level", "error",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment)
    try:
        yield server, port
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


def get(port, path):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        client = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE_SECONDS)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            assert answer.status == 200
            return answer.read().decode()
        except (ConnectionError, http.client.RemoteDisconnected):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finally:
            client.close()


def workers(place, server):
    return {int(path.stem.rpartition("_")[2]) for path in (place / str(server.pid)).glob("*.db")} - {0}


def wait_until(true):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_count_together_and_the_killed_are_not_forgotten(tmp_path):
    place = tmp_path / "metrics"
    (place / "999999999").mkdir(parents=True)  # of a server that is gone
    with gunicorn(place) as (server, port):
        for _ in range(40):
            get(port, "/healthz")
        wait_until(lambda: len(workers(place, server)) == 3)
        assert [path.name for path in place.iterdir()] == [str(server.pid)]
        before = workers(place, server)
        for killed, pid in enumerate(sorted(before), start=1):
            assert values(get(port, "/metrics"))[HEALTH] == 40
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda gone=pid: gone not in workers(place, server))
            wait_until(lambda: len(workers(place, server)) == 3)
            assert len(before & workers(place, server)) == 3 - killed
        get(port, "/healthz")
        told = values(get(port, "/metrics"))
        assert told[HEALTH] == 41
        took = "svoykrug_http_request_duration_seconds"
        assert told[f"{took}_count", ("method", "GET"), ("route", "healthz")] == 41
        assert told[f"{took}_bucket", ("le", "+Inf"), ("method", "GET"), ("route", "healthz")] == 41
    assert list(place.iterdir()) == []


def test_a_workers_room_on_the_disk_is_taken_before_it_counts(tmp_path, monkeypatch):
    monkeypatch.setenv(folder.VARIABLE, "")
    folder.open_folder(tmp_path)

    folder.reserve(7)

    files = {path.name: path.stat() for path in folder.current_folder().iterdir()}
    assert files.keys() == {"counter_7.db", "histogram_7.db"}
    for name, found in files.items():
        size = folder.RESERVED_BYTES[name.partition("_")[0]]
        assert (found.st_size, found.st_blocks * 512) == (size, pytest.approx(size, rel=0.05))


def test_a_folder_that_is_no_servers_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(folder.VARIABLE, "")
    (tmp_path / "notes").mkdir()
    (tmp_path / str(os.getppid())).mkdir()

    folder.open_folder(tmp_path)
    mine = folder.current_folder() / "mine"
    mine.touch()
    folder.open_folder(tmp_path)  # as on a reload

    assert mine.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"notes", str(os.getppid()), str(os.getpid())}
