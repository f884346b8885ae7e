"""Loopback ports: remembered while free, chosen anew when somebody else has taken them."""

import secrets
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections.
FIRST, LAST = 20_000, 29_999


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


def choose_port(remembered: int | None = None, *, besides: int | None = None) -> int:
    """Return the remembered port if it is free, else another free one."""
    if remembered and remembered != besides and is_free(remembered):
        return remembered
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        if port != besides and is_free(port):
            return port
