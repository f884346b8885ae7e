"""Loopback ports: remembered while free, chosen anew when somebody else has taken them."""

import secrets
import socket
import time

LOOPBACK = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections.
FIRST, LAST = 20_000, 29_999
# A killed process lets go of its sockets only when its last thread has ended.
RELEASE_SECONDS = 2


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections still closing do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def _comes_free(port: int) -> bool:
    """Tell whether the port is free or becomes so: a server just killed may hold it for a moment."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def choose_port(remembered: int | None = None, *, besides: int | None = None) -> int:
    """Return the remembered port if it is free, else another free one."""
    if remembered and remembered != besides and _comes_free(remembered):
        return remembered
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        if port != besides and is_free(port):
            return port
