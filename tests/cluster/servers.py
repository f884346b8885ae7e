"""Two ClickHouse servers that copy each other, and the ZooKeeper between them, in a folder of their own."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from svoykrug.embedded.clickhouse import DATABASE, USER, ClickHouse
from svoykrug.embedded.folder import LocalFolder
from svoykrug.embedded.passwords import remembered_password
from svoykrug.embedded.ports import LOOPBACK, choose_port
from svoykrug.embedded.server import Launch, Server, write_private

NAME = "svoykrug_cluster"
CLASSES = Path("/usr/share/java")  # where Debian's packages put them
SESSION_MS = 4000  # after so long without a word a node counts as lost; twice the tick is the least

ZOO_CFG = """\
tickTime=2000
dataDir={data}
clientPort={port}
clientPortAddress={host}
admin.enableServer=false
maxClientCnxns=0
4lw.commands.whitelist=ruok
"""
NODE_XML = """\
<clickhouse>
    <interserver_http_port>{interserver_port}</interserver_http_port>
    <interserver_http_host>{host}</interserver_http_host>
    <zookeeper>
        <node><host>{host}</host><port>{zookeeper_port}</port></node>
        <session_timeout_ms>{session_ms}</session_timeout_ms>
    </zookeeper>
    <macros><shard>1</shard><replica>{name}</replica></macros>
    <remote_servers><{cluster}><shard>{replicas}</shard></{cluster}></remote_servers>
    <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
</clickhouse>
"""
REPLICA_XML = "<replica><host>{host}</host><port>{port}</port></replica>"


def missing() -> str:
    """Return why there can be no cluster here, or nothing."""
    if shutil.which("java") is None or not (CLASSES / "zookeeper.jar").exists():
        return "ZooKeeper is not installed: apt-get install zookeeper default-jre-headless"
    return ""


class ZooKeeper(Server):
    name, title, variable = "zookeeper", "ZooKeeper", ""
    telling = ("ERROR", "Exception", "Error:")

    @property
    def port(self) -> int:
        return int(self.local.recall(self.name)["port"])

    def prepare(self) -> Launch:
        self.local.remember(self.name, port=choose_port(self.local.recall(self.name).get("port")))
        settings = ZOO_CFG.format(data=self.folder / "data", port=self.port, host=LOOPBACK)
        write_private(self.folder / "zoo.cfg", settings)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        # One client at a time writes a little: the compiler's second stage is not worth its start.
        java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{CLASSES}/*"]
        return Launch([*java, main, str(self.folder / "zoo.cfg")])

    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def ping(self) -> str | None:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as line:
                line.sendall(b"ruok")
                return None if line.recv(4) == b"imok" else "it is not ready"
        except OSError as error:
            return str(error)


class Node(ClickHouse):
    def __init__(self, number: int, local: LocalFolder, tell: Callable[[str], None]) -> None:
        self.name = f"clickhouse{number}"
        self.title = f"ClickHouse node {number}"
        super().__init__(local, tell)

    def finish(self) -> None:
        """Create nothing: the database is made ON CLUSTER."""

    @property
    def port(self) -> int:
        return int(self.local.recall(self.name)["port"])


class Cluster:
    """One shard, two copies of it."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        local = LocalFolder(folder)
        self.zookeeper = ZooKeeper(local, tell)
        self.nodes = (Node(1, local, tell), Node(2, local, tell))
        self._local = local

    def start(self) -> None:
        self._local.create()
        password = remembered_password(self._local, "cluster")
        self.zookeeper.spawn()
        # Each node must know the other's port before either runs.
        taken: set[int] = set()
        for node in self.nodes:
            ports = {}
            for kind in ("port", "interserver_port"):
                while (port := choose_port()) in taken:
                    pass
                taken.add(port)
                ports[kind] = port
            self._local.remember(node.name, password=password, **ports)
        for node in self.nodes:
            self._configure(node)
        self.zookeeper.wait()
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait()

    def stop(self) -> None:
        for server in (*self.nodes, self.zookeeper):
            server.ask_to_end()
        for server in (*self.nodes, self.zookeeper):
            server.wait_for_end()

    def address(self, *nodes: Node) -> str:
        """Return the address of these nodes as CLICKHOUSE_URL has it, of both if none is named."""
        password = self._local.recall("cluster")["password"]
        hosts = ",".join(f"{LOOPBACK}:{node.port}" for node in nodes or self.nodes)
        return f"clickhouse://{USER}:{password}@{hosts}/{DATABASE}"

    def _configure(self, node: Node) -> None:
        # What lies in server.d is read as part of server.xml.
        folder = self._local.create(f"{node.name}/server.d")
        replicas = "".join(REPLICA_XML.format(host=LOOPBACK, port=each.port) for each in self.nodes)
        text = NODE_XML.format(
            host=LOOPBACK,
            interserver_port=self._local.recall(node.name)["interserver_port"],
            zookeeper_port=self.zookeeper.port,
            session_ms=SESSION_MS,
            name=node.name,
            cluster=NAME,
            replicas=replicas,
        )
        write_private(folder / "cluster.xml", text)
