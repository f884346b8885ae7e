import pytest

from loyalty.services.api_keys import create_api_key
from tests.api import Caller


@pytest.fixture
def till(business):
    """A till of `business`, with a key of the default scopes."""
    _, secret = create_api_key(business=business)
    return Caller(f"Api-Key {secret}")
