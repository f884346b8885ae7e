"""HTTP to addresses that others have chosen, such as webhooks and CRMs: never into our own network.

A name is resolved once, every address it has must be a public one, and the connection goes to that
very address: a name that points elsewhere a moment later changes nothing. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from svoykrug.errors import DomainError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 500
KEPT_OF_ANSWER = 2000
# Whatever stands in them is reached through another machine's translation.
NAT64 = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")
PORTS = {"https": 443, "http": 80}


class AddressRefused(DomainError):
    code = "invalid"
    status = 400


class Unreachable(Exception):
    """No answer: the name, the connection, TLS, the time limit, or an answer that is no HTTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: the name for TLS and Host, and the one address that is connected to."""

    url: SplitResult
    host: str
    port: int
    address: Address

    @property
    def secure(self) -> bool:
        return self.url.scheme == "https"


@dataclass(frozen=True, slots=True)
class Answer:
    """body  its first characters, for the log"""

    status: int
    body: str
    seconds: float

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def target_of(url: str) -> Target:
    """Resolve a URL. Raises AddressRefused, which says why we do not connect there, or Unreachable.

    http and private addresses are let through only within `OUTBOUND_ALLOWED_NETWORKS`.
    """
    parts, host = _parse(url)
    port = parts.port or PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(_("The name %(host)s cannot be resolved.") % {"host": host}) from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if _allowed(address):
            continue
        if not _is_public(address):
            raise AddressRefused(_("The address leads into a private network."), field="url")
        if parts.scheme != "https":
            raise AddressRefused(_("The address must begin with https://."), field="url")
    return Target(parts, host, port, addresses[0])


def _parse(url: str) -> tuple[SplitResult, str]:
    if len(url) > LONGEST_URL or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise AddressRefused(_("The address is too long or has spaces in it."), field="url")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        ascii_host = host.encode("idna").decode() if host else ""
    except ValueError as error:
        raise AddressRefused(_("This is no web address."), field="url") from error
    if parts.scheme not in PORTS or not ascii_host:
        raise AddressRefused(_("The address must begin with https://."), field="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused(_("The address holds a name, a password or a fragment."), field="url")
    return parts, ascii_host


def _allowed(address: Address) -> bool:
    return any(address in ipaddress.ip_network(network) for network in settings.OUTBOUND_ALLOWED_NETWORKS)


def _is_public(address: Address) -> bool:
    """Whether it is a unicast address of the public network, also behind any of the known wrappings."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in NAT64) or address.is_site_local or address.teredo:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner:
            return _is_public(inner)
        # The rest of what embeds an old address: ::a.b.c.d.
        if int(address) >> 32 == 0:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Answer:
    """Send a POST and return what came back, whatever its status.

    seconds  for all of it: a receiver that drips a byte at a time is cut off, too

    Raises AddressRefused or Unreachable.
    """
    started = time.monotonic()
    status, raw = _exchange("POST", url, body, headers, seconds=seconds, most=KEPT_OF_ANSWER)
    text = raw.decode("utf-8", "replace").replace("\x00", "")
    return Answer(status, text, time.monotonic() - started)


def get(url: str, headers: Mapping[str, str], *, seconds: float, most: int) -> tuple[int, bytes]:
    """Ask for something and return the status and the whole body, of at most so many bytes.

    Raises AddressRefused or Unreachable, also for a longer answer.
    """
    status, raw = _exchange("GET", url, None, headers, seconds=seconds, most=most + 1)
    if len(raw) > most:
        raise Unreachable(_("The answer is larger than %(most)d bytes.") % {"most": most})
    return status, raw


def _exchange(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, seconds: float, most: int
) -> tuple[int, bytes]:
    target = target_of(url)
    connection = _Pinned(target, timeout=seconds)
    watchdog = threading.Timer(seconds, connection.cut)
    watchdog.start()
    try:
        path = target.url.path or "/"
        query = f"?{target.url.query}" if target.url.query else ""
        connection.request(method, path + query, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read(most)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if connection.was_cut or isinstance(error, TimeoutError):
            raise Unreachable(_("No answer within %(seconds)d seconds.") % {"seconds": seconds}) from error
        raise Unreachable(str(error) or type(error).__name__) from error
    finally:
        watchdog.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was looked at, under the name that was asked for."""

    def __init__(self, target: Target, *, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self.target = target
        self.was_cut = False
        self.default_port = PORTS[target.url.scheme]

    def connect(self) -> None:
        plain = socket.create_connection((str(self.target.address), self.target.port), timeout=self.timeout)
        self.sock = plain
        if self.target.secure:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.target.host)

    def cut(self) -> None:
        self.was_cut = True
        if self.sock:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
