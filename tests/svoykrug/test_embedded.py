"""The embedded servers, on real processes in folders of their own."""

import os
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from clickhouse_driver import Client
from django.conf import settings
from django.core.management import CommandError, call_command

from analytics.clickhouse.client import with_database
from svoykrug.embedded.addresses import read_addresses
from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.ports import choose_port
from svoykrug.embedded.process import command_line, reap
from svoykrug.embedded.servers import Servers

type_of_new_set = Callable[..., Servers]


def clickhouse_url() -> str:
    """The run's ClickHouse by a database that is always there; the tests' own comes with their fixture."""
    return with_database(settings.CLICKHOUSE_URL, "default")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: pytest closes its own folder to other users, PostgreSQL may have to run as one.
    with tempfile.TemporaryDirectory(prefix="svoykrug-test-") as name:
        yield Path(name)


@pytest.fixture
def new_set(folder: Path) -> Iterator[type_of_new_set]:
    """Make a set of servers in a folder of its own; whatever runs is stopped after the test."""
    made = []

    def make(name: str = ".local", **environment: str) -> Servers:
        made.append(Servers(folder / name, environment, [].append))
        return made[-1]

    yield make
    for servers in made:
        if servers.local.path.is_dir():
            servers.stop()


@pytest.fixture
def only_redis(new_set: type_of_new_set) -> type_of_new_set:
    """Make a set that uses the test run's own PostgreSQL and ClickHouse as outside servers."""

    def make(name: str = ".local") -> Servers:
        outside = {"DATABASE_URL": settings.DATABASE_URL, "CLICKHOUSE_URL": clickhouse_url()}
        return new_set(name, **outside)

    return make


def pids(servers: Servers) -> dict[str, int | None]:
    return {server.name: server.pid() for server in servers.all}


def states(servers: Servers) -> dict[str, str]:
    return {line.title: line.state for line in servers.status()}


def write_everywhere(servers: Servers, value: str) -> None:
    addresses = servers.addresses()
    with psycopg.connect(addresses["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])
    clickhouse = Client.from_url(addresses["CLICKHOUSE_URL"])
    clickhouse.execute("CREATE TABLE kept (value String) ENGINE = MergeTree ORDER BY value")
    clickhouse.execute("INSERT INTO kept (value) VALUES", [(value,)])
    clickhouse.disconnect()
    with redis.Redis.from_url(addresses["REDIS_URL"]) as client:
        client.set("kept", value)


def read_everywhere(servers: Servers) -> list[str]:
    addresses = servers.addresses()
    with psycopg.connect(addresses["DATABASE_URL"]) as connection:
        from_postgres = connection.execute("SELECT value FROM kept").fetchone()
    clickhouse = Client.from_url(addresses["CLICKHOUSE_URL"])
    from_clickhouse = clickhouse.execute("SELECT value FROM kept")
    clickhouse.disconnect()
    with redis.Redis.from_url(addresses["REDIS_URL"]) as client:
        from_redis = client.get("kept")
    assert from_postgres is not None
    assert isinstance(from_redis, bytes)
    return [from_postgres[0], from_clickhouse[0][0], from_redis.decode()]


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while command_line(pid):
        reap(pid)


def test_two_sets_run_side_by_side_and_a_repeated_start_changes_nothing(new_set):
    first, second = new_set("first"), new_set("second")

    started = first.start()
    second.start()

    assert started == ["ClickHouse", "PostgreSQL", "Redis"]
    assert stat.S_IMODE(first.local.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((first.local.path / "services.json").stat().st_mode) == 0o600
    assert not set(first.addresses().values()) & set(second.addresses().values())
    write_everywhere(first, "Первый")
    write_everywhere(second, "Второй")
    before = pids(first), first.addresses()
    assert first.start() == []
    assert (pids(first), first.addresses()) == before
    assert read_everywhere(first) == ["Первый"] * 3
    assert read_everywhere(second) == ["Второй"] * 3


def test_killed_servers_are_noticed_repaired_and_keep_their_data(new_set):
    servers = new_set()
    servers.start()
    write_everywhere(servers, "до падения")
    before, addresses = pids(servers), servers.addresses()
    # appendfsync is once a second; a kill of the process alone loses nothing that was written.
    for pid in before.values():
        kill(pid)

    noticed = states(servers)
    started = servers.start()

    assert noticed == {"ClickHouse": "crashed", "PostgreSQL": "crashed", "Redis": "crashed"}
    assert started == ["ClickHouse", "PostgreSQL", "Redis"]
    assert servers.addresses() == addresses
    assert read_everywhere(servers) == ["до падения"] * 3

    living = pids(servers)
    assert servers.stop() == ["ClickHouse", "PostgreSQL", "Redis"]
    assert [command_line(pid) for pid in living.values() if pid] == ["", "", ""]
    assert states(servers) == {"ClickHouse": "stopped", "PostgreSQL": "stopped", "Redis": "stopped"}
    assert read_addresses(servers.local.path) == {}


def test_a_remembered_port_taken_by_another_is_chosen_anew_and_the_data_stay(new_set):
    servers = new_set(CLICKHOUSE_URL=clickhouse_url(), REDIS_URL=settings.REDIS_URL)
    servers.start()
    with psycopg.connect(servers.addresses()["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept (value text)")
    servers.stop()
    port = servers.local.recall("postgres")["port"]

    with socket.create_server(("127.0.0.1", port)):
        servers.start()

        assert servers.local.recall("postgres")["port"] != port
        with psycopg.connect(servers.addresses()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_free_port_stays_and_a_taken_one_does_not():
    port = choose_port()

    assert choose_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert choose_port(port) != port


def test_a_server_named_by_the_environment_is_used_and_not_started(only_redis):
    servers = only_redis()

    started = servers.start()

    assert started == ["Redis"]
    assert states(servers) == {"ClickHouse": "outside", "PostgreSQL": "outside", "Redis": "running"}
    assert servers.addresses()["DATABASE_URL"] == settings.DATABASE_URL
    assert not (servers.local.path / "postgres").exists()


def test_starts_at_the_same_time_begin_one_server(only_redis):
    several = [only_redis(), only_redis(), only_redis()]

    with ThreadPoolExecutor() as pool:
        started = list(pool.map(Servers.start, several))

    assert sorted(started) == [[], [], ["Redis"]]
    assert len({servers.all[2].pid() for servers in several}) == 1


def test_a_stale_pid_that_now_belongs_to_another_process_is_left_alone(only_redis):
    servers = only_redis()
    servers.start()
    server = servers.all[2]
    kill(server.pid())
    server.process.write(os.getpid())

    state = states(servers)["Redis"]
    started = servers.start()
    servers.stop()

    # This process would not have lived to say so.
    assert (state, started) == ("crashed", ["Redis"])


def test_a_path_too_long_for_a_socket_is_replaced_by_a_short_private_one(only_redis):
    servers = only_redis("д" * 60)

    servers.start()

    client = redis.Redis.from_url(servers.addresses()["REDIS_URL"])
    assert client.ping() is True
    client.close()
    socket_folder = Path(servers.local.recall("redis")["socket"]).parent
    assert len(str(socket_folder)) < 40
    assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    servers.stop()
    assert not socket_folder.exists()


def test_a_server_that_cannot_start_leaves_none_of_the_others_running(new_set):
    servers = new_set(DATABASE_URL=settings.DATABASE_URL)
    servers.local.create()
    (servers.local.path / "redis").write_text("in the way")

    with pytest.raises(EmbeddedError, match=r"^Cannot write to .*/\.local/redis: "):
        servers.start()

    assert pids(servers) == {"clickhouse": None, "postgres": None, "redis": None}
    assert "clickhouse_launcher" not in "".join(
        command_line(int(entry.name))
        for entry in Path("/proc").glob("[0-9]*")
        if str(servers.local.path) in command_line(int(entry.name))
    )
    assert read_addresses(servers.local.path) == {}


def test_a_broken_configuration_is_answered_with_the_servers_own_words(only_redis, monkeypatch, folder):
    servers = only_redis()
    (folder / "config").mkdir()
    (folder / "config" / "redis.conf").write_text("nonsense $socket $data\n")
    monkeypatch.setattr("svoykrug.embedded.server.CONFIG", folder / "config")

    with pytest.raises(EmbeddedError, match=r"^Redis did not start: .*nonsense.*server\.log\)\.$"):
        servers.start()

    assert servers.all[2].pid() is None


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(folder, monkeypatch):
    for name in ("DATABASE_URL", "CLICKHOUSE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    # A file in the folder's place: root would not be stopped by a read-only mode.
    (folder / ".local").write_text("")

    with pytest.raises(CommandError, match=r"^Cannot write to .*/\.local: File exists\.$"):
        call_command("services", "start", folder=folder / ".local")

    assert list(folder.iterdir()) == [folder / ".local"]


@pytest.mark.parametrize(
    ("name", "address", "sentence"),
    [
        ("DATABASE_URL", "mysql://127.0.0.1/shop", "DATABASE_URL does not begin with postgres://"),
        (
            "DATABASE_URL",
            "postgres://me:secret@127.0.0.1:1/shop",
            "DATABASE_URL names a server that does not",
        ),
        (
            "CLICKHOUSE_URL",
            "clickhouse://127.0.0.1:1/x",
            "CLICKHOUSE_URL names a server that does not answer",
        ),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "REDIS_URL names a server that does not answer"),
    ],
)
def test_a_wrong_address_is_refused_before_anything_starts(folder, monkeypatch, name, address, sentence):
    monkeypatch.setenv(name, address)

    with pytest.raises(CommandError) as refusal:
        call_command("services", "start", folder=folder / ".local")

    assert str(refusal.value).startswith(sentence)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (folder / ".local").exists()


def test_a_missing_wheel_is_named(new_set, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EmbeddedError, match=r"^The wheel chdb is not installed: run `make services`"):
        new_set().start()


@pytest.mark.parametrize("action", ["start", "stop", "status", "env"])
def test_production_refuses_the_embedded_servers(settings, folder, action):
    settings.PRODUCTION = True

    with pytest.raises(CommandError, match=r"^Production does not run embedded servers"):
        call_command("services", action, folder=folder / ".local")

    assert not (folder / ".local").exists()


def test_status_answers_3_and_env_refuses_before_the_first_start(folder, monkeypatch, capsys):
    for name in ("DATABASE_URL", "CLICKHOUSE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SystemExit) as exit_of_status:
        call_command("services", "status", folder=folder / ".local")
    with pytest.raises(CommandError, match="not started yet, run `make services`"):
        call_command("services", "env", folder=folder / ".local")
    call_command("services", "stop", folder=folder / ".local")

    assert exit_of_status.value.code == 3
    assert capsys.readouterr().out.splitlines() == [
        "ClickHouse   stopped",
        "PostgreSQL   stopped",
        "Redis        stopped",
        "Nothing was running.",
    ]
