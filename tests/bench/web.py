"""The web server as the Procfile starts it, and clients as thin as can be."""

import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from svoykrug.embedded.ports import LOOPBACK, choose_port
from tests.bench.machine import ROOT

READY_SECONDS = 60
# Of what the server said, when it did not answer as it should.
LOG_SHOWN = 20000


@contextmanager
def web_server() -> Iterator[int]:
    """Run the Procfile's `web` on a free loopback port, which is returned, and stop it at the end."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    command = next(line.removeprefix("web:") for line in lines if line.startswith("web:"))
    port = choose_port()
    environment = os.environ | {
        "PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=environment, stderr=log)
        try:
            _wait(process, port)
            yield port
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-LOG_SHOWN:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=READY_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("The web server did not start: run the Procfile's line by hand to see why.")


def request_bytes(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Load:
    """What the clients saw.

    seconds    from the first request to the last answer
    latencies  seconds of each answer
    by_status  answers by their status
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    by_status: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return milliseconds within which that share of the answers came."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def expect(self, status: int) -> None:
        if set(self.by_status) != {status}:
            raise RuntimeError(f"Answers by status: {self.by_status}; all should be {status}.")

    def sentence(self) -> str:
        p50, p95, p99 = (self.percentile(share) for share in (0.50, 0.95, 0.99))
        return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"


class _Client:
    """One connection, opened again whenever the server closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.got = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> socket.socket:
        self.got, self.sent_at = b"", time.perf_counter()
        if self.socket is None:
            self.socket = socket.create_connection((LOOPBACK, self.port), timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request)
        return self.socket

    def receive(self) -> int | None:
        """Read what came; return the status once the answer is whole."""
        assert self.socket
        part = self.socket.recv(65_536)
        self.got += part
        head, separator, body = self.got.partition(b"\r\n\r\n")
        if not part and not separator:
            raise RuntimeError("The server closed the connection without an answer.")
        lowered = head.lower()
        length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if part and (not separator or len(body) < length):
            return None
        if b"connection: close" in lowered:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        if self.socket:
            self.socket.close()
            self.socket = None


def load(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """Send the requests over that many connections, each waiting for its answer, until the time is up.

    One thread over all connections: the clients share the machine with the server and must cost little.
    """
    seen, left = Load(), iter(requests)
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        waiting = 0
        for client in [_Client(port) for _number in range(clients)]:
            if request := next(left, None):
                selector.register(client.send(request), selectors.EVENT_READ, client)
                waiting += 1
        while waiting:
            events = selector.select(timeout=30)
            if not events:
                raise RuntimeError("The server has not answered for 30 seconds.")
            for key, _mask in events:
                client, before = key.data, key.fileobj
                status = client.receive()
                if status is None:
                    continue
                now = time.perf_counter()
                seen.latencies.append(now - client.sent_at)
                seen.by_status[status] = seen.by_status.get(status, 0) + 1
                request = next(left, None) if now - started < seconds else None
                selector.unregister(before)
                if request is None:
                    client.close()
                    waiting -= 1
                else:
                    selector.register(client.send(request), selectors.EVENT_READ, client)
    seen.seconds = time.perf_counter() - started
    return seen
