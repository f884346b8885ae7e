"""Addresses that others choose never lead into our own network, whatever they look like."""

import socket
import threading
from contextlib import suppress

import pytest
from django.utils import translation

from svoykrug import outbound
from svoykrug.outbound import AddressRefused, Unreachable, post, target_of
from tests.receivers import receiver

# Spellings of what must not be reached: loopback, private, link-local, cloud metadata, wrapped old
# addresses, and what is no web address at all.
REFUSED = [
    "http://127.0.0.1/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.1/", "https://017700000001/", "https://0/", "https://0.0.0.0/", "https://localhost/",
    "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.254/",
    "https://192.168.0.1/", "https://192.168.1.1:8443/", "https://169.254.169.254/latest/meta-data/",
    "https://169.254.0.1/", "https://100.64.0.1/", "https://198.18.0.1/", "https://192.0.2.1/",
    "https://203.0.113.5/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/",
    "https://255.255.255.255/", "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fc00::1]/",
    "https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[fec0::1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:10.0.0.1]/", "https://[::ffff:a9fe:a9fe]/", "https://[::127.0.0.1]/",
    "https://[2002:7f00:1::]/", "https://[2002:a00:1::]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::1]/", "https://[2001:0:53aa:64c:0:0:80ff:fffe]/", "https://[2001:db8::1]/",
    "http://8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "//8.8.8.8/", "8.8.8.8",
    "", "https://", "https:///path", "https://user:secret@8.8.8.8/", "https://8.8.8.8/#fragment",
    "https://8.8.8.8:99999/", "https://8.8.8.8/a b", "https://8.8.8.8/\r\nX: y", "https://[8.8.8.8/",
    "https://" + "a" * 600 + ".example/",
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.mark.parametrize("url", REFUSED)
def test_no_connection_is_made(url, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *args, **options: pytest.fail(f"{args} reached"))
    with pytest.raises((AddressRefused, Unreachable)):
        post(url, b"{}", {}, seconds=1)


def test_the_corpus_is_as_long_as_promised():
    assert len(set(REFUSED)) >= 40


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/", "https://[2606:4700::1111]/x?y=1", "https://1.1.1.1:8443/"]
)
def test_public_addresses_pass(url):
    assert target_of(url).address.is_global


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", resolving(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(AddressRefused, match="private"):
        target_of("https://receiver.example/")


def resolving(*answers):
    """Return a resolver that gives one list of addresses after the other."""
    left = iter(answers)
    return lambda host, port, **options: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(left)
    ]


def test_the_address_looked_at_is_the_one_connected_to(monkeypatch):
    """A name that leads elsewhere at the second question is never asked a second time."""
    monkeypatch.setattr(socket, "getaddrinfo", resolving(["93.184.216.34"], ["127.0.0.1"]))
    reached = []

    def connect(address, **_options):
        reached.append(address)
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(Unreachable, match="nobody there"):
        post("https://receiver.example/hook", b"{}", {}, seconds=1)

    assert reached == [("93.184.216.34", 443)]


@pytest.fixture
def loopback_allowed(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


def test_a_redirect_is_an_answer_and_is_not_followed(loopback_allowed):
    paths = []

    def redirect(handler):
        paths.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    with receiver(redirect) as url:
        answer = post(f"{url}/hook?shop=1", b"{}", {}, seconds=5)

    assert (answer.status, answer.ok, paths) == (302, False, ["/hook?shop=1"])


def test_of_a_long_answer_only_the_beginning_is_kept(loopback_allowed):
    def chatter(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write("ы\x00".encode() * 100_000)

    with receiver(chatter) as url:
        answer = post(url, b"{}", {}, seconds=5)

    assert answer.ok
    assert 0 < len(answer.body) <= outbound.KEPT_OF_ANSWER
    assert "\x00" not in answer.body


def test_a_receiver_that_drips_is_cut_off(loopback_allowed):
    stop = threading.Event()

    def drip(handler):
        with suppress(OSError):
            while not stop.wait(0.05):
                handler.wfile.write(b"H")

    with receiver(drip) as url, pytest.raises(Unreachable, match="No answer within"):
        post(url, b"{}", {}, seconds=0.5)
    stop.set()


def test_an_answer_that_is_no_http_is_told_as_such(loopback_allowed):
    def nonsense(handler):
        handler.wfile.write(b"\x00\x01\x02 hello\r\n\r\n")

    with receiver(nonsense) as url, pytest.raises(Unreachable):
        post(url, b"{}", {}, seconds=2)
