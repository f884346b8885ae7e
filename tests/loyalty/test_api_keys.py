"""Keys of tills: shown once, kept as a hash, revocable, last use noted."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from loyalty.models import ApiKey
from loyalty.services.api_keys import create_api_key, revoke_api_key, use_api_key
from tests.factories import NOON, BusinessFactory

pytestmark = pytest.mark.django_db


def test_key_is_kept_as_a_hash_and_a_beginning(business):
    key, secret = create_api_key(business=business)

    assert secret.startswith("sk_live_")
    assert len(secret) == 48
    stored = ApiKey.objects.get()
    assert stored.prefix == secret[:14]
    assert secret not in [str(value) for value in ApiKey.objects.values_list().get()]
    assert stored.scopes == ["purchases:write", "purchases:read", "members:read", "coupons:read"]
    assert use_api_key(secret, at=NOON) == key


def test_unknown_revoked_and_idle_businesses_keys_are_not_let_in(business):
    revoked, secret_of_revoked = create_api_key(business=business)
    revoke_api_key(revoked, at=NOON)
    _, secret_of_idle = create_api_key(business=BusinessFactory(is_active=False))

    tried = ["sk_live_x", "", "\udcff", secret_of_revoked, secret_of_idle]
    assert [use_api_key(secret, at=NOON) for secret in tried] == [None] * 5


def test_revoking_twice_keeps_the_first_moment(business):
    key, _ = create_api_key(business=business)

    revoke_api_key(key, at=NOON)
    revoke_api_key(key, at=NOON + timedelta(days=1))

    assert ApiKey.objects.get().revoked_at == NOON


def test_last_use_is_noted_at_most_once_a_minute(business, django_assert_num_queries):
    _, secret = create_api_key(business=business)

    use_api_key(secret, at=NOON)
    with django_assert_num_queries(1):
        use_api_key(secret, at=NOON + timedelta(seconds=59))
    assert ApiKey.objects.get().last_used_at == NOON

    use_api_key(secret, at=NOON + timedelta(seconds=60))
    assert ApiKey.objects.get().last_used_at == NOON + timedelta(seconds=60)


def test_command_prints_the_key_alone_on_the_last_line(business):
    out = StringIO()

    call_command("create_api_key", "--business", business.code, "--scope", "purchases:read", stdout=out)

    secret = out.getvalue().splitlines()[-1]
    key = use_api_key(secret, at=NOON)
    assert (key.business, key.scopes) == (business, ["purchases:read"])


@pytest.mark.parametrize(
    "arguments", [["--business", "NONE"], ["--business", "T1", "--scope", "everything"], []]
)
def test_command_refuses_what_it_does_not_know(arguments):
    with pytest.raises(CommandError):
        call_command("create_api_key", *arguments, stdout=StringIO())
    assert not ApiKey.objects.exists()
