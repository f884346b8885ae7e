"""The caller's address: what our own proxies saw, never what the caller wrote."""

import pytest
from django.test import RequestFactory

from svoykrug.middleware import client_address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "connected", "address"),
    [
        (0, "", "192.0.2.1", "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1", "192.0.2.1"),
        (1, "203.0.113.9", "10.0.0.1", "203.0.113.9"),
        (1, "198.51.100.66, 203.0.113.9", "10.0.0.1", "203.0.113.9"),
        (2, "198.51.100.66, 203.0.113.9, 10.0.0.2", "10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.1", "10.0.0.1"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (1, "'; DROP TABLE sessions", "10.0.0.1", "10.0.0.1"),
        (1, "2001:DB8::1", "10.0.0.1", "2001:db8::1"),
        (0, "", "", "0.0.0.0"),
    ],
)
def test_address_of_the_caller(settings, proxies, forwarded, connected, address):
    settings.TRUSTED_PROXIES = proxies

    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=connected)

    assert client_address(request) == address


def test_the_api_knows_no_session_and_pages_do(client, member, django_assert_num_queries):
    client.force_login(member, backend="loyalty.backends.PhoneCodeBackend")

    with django_assert_num_queries(0):
        called = client.get("/api/v1/me")
    page = client.get("/", headers={"accept-language": "en"})

    assert called.status_code == 401
    assert "Cookie" not in called.get("Vary", "")
    assert page.status_code == 200
    assert "Cookie" in page["Vary"]
