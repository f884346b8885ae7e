"""Fixtures of the tests of members."""

from datetime import datetime

import pytest
from django.test import Client
from django.utils import timezone

from loyalty.models import Member
from loyalty.services import otp


@pytest.fixture
def now() -> datetime:
    # The views take the hour from the clock; the rows of a test stand relative to it.
    return timezone.now()


@pytest.fixture
def codes(own_codes: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Phones and codes, kept instead of being sent."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(otp, "deliver_code", lambda phone, code: sent.append((phone, code)))
    return sent


@pytest.fixture
def signed_in(client: Client, member: Member) -> Client:
    client.force_login(member)
    return client
