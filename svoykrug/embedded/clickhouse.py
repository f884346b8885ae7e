"""ClickHouse 25.8 out of the wheel chdb, whose library carries the entry of the full server."""

import hashlib
import logging
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError

from svoykrug.embedded.errors import EmbeddedError
from svoykrug.embedded.passwords import remembered_password
from svoykrug.embedded.ports import LOOPBACK, choose_port
from svoykrug.embedded.server import Launch, Server, render, wheel_folder, write_private

USER = DATABASE = "svoykrug"
LIBRARY = "_chdb.abi3.so"
LAUNCHER = Path(__file__).parent / "clickhouse_launcher.py"


class ClickHouse(Server):
    """The user `svoykrug` may create users and named collections."""

    name = "clickhouse"
    title = "ClickHouse"
    variable = "CLICKHOUSE_URL"

    def prepare(self) -> Launch:
        library = wheel_folder("chdb", package="chdb", variable=self.variable) / LIBRARY
        if not library.exists():
            raise EmbeddedError(
                f"The wheel chdb has no {LIBRARY}: install the version pinned in the Makefile."
            )
        password = remembered_password(self.local, self.name)
        memory = self.local.recall(self.name)
        port = choose_port(memory.get("port"))
        http_port = choose_port(memory.get("http_port"), besides=port)
        self.local.remember(self.name, port=port, http_port=http_port)
        config = self.folder / "server.xml"
        values = {
            "host": LOOPBACK,
            "port": port,
            "http_port": http_port,
            "data": escape(str(self.folder / "data")),
            "config": escape(str(config)),
            "password_sha256": hashlib.sha256(password.encode()).hexdigest(),
        }
        write_private(config, render("clickhouse.xml", **values))
        # Isolated: a module of the current folder must not stand in for one of the standard library.
        command = [sys.executable, "-I", str(LAUNCHER), str(library), f"--config-file={config}"]
        # Without its watchdog the server stays the one process whose pid is remembered.
        return Launch(command, environment={"CLICKHOUSE_WATCHDOG_ENABLE": "0"})

    def address(self) -> str:
        memory = self.local.recall(self.name)
        return f"clickhouse://{USER}:{memory['password']}@{LOOPBACK}:{memory['port']}/{DATABASE}"

    def ping(self) -> str | None:
        # The driver logs each refused connection as a warning; here refusals are expected.
        logging.getLogger("clickhouse_driver.connection").setLevel(logging.ERROR)
        try:
            self._execute("SELECT 1")
        except (ClickHouseError, OSError, EOFError) as error:
            return str(error).strip().splitlines()[0]
        return None

    def finish(self) -> None:
        self._execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")

    def _execute(self, query: str) -> None:
        memory = self.local.recall(self.name)
        client = Client(
            LOOPBACK,
            port=memory.get("port", 0),
            user=USER,
            password=memory.get("password", ""),
            database="default",
            connect_timeout=5,
            send_receive_timeout=30,
        )
        try:
            client.execute(query)
        finally:
            client.disconnect()
