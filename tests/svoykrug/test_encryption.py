"""Secrets at rest: readable with any of the keys, with no other, and not once somebody changed them."""

import pytest

from svoykrug.encryption import InvalidToken, decrypt, encrypt, encrypt_anew


def test_a_secret_is_read_again_and_shows_nothing_of_itself(settings):
    settings.ENCRYPTION_KEYS = ["first"]
    stored = encrypt("whsec_солёный")

    assert decrypt(memoryview(stored)) == "whsec_солёный"
    assert encrypt("whsec_солёный") != stored
    assert b"whsec" not in stored


def test_keys_are_changed_without_losing_what_the_old_one_encrypted(settings):
    settings.ENCRYPTION_KEYS = ["old"]
    stored = encrypt("secret")
    settings.ENCRYPTION_KEYS = ["new", "old"]
    renewed = encrypt_anew(stored)

    settings.ENCRYPTION_KEYS = ["new"]

    assert decrypt(renewed) == "secret"
    with pytest.raises(InvalidToken):
        decrypt(stored)


def test_a_changed_byte_is_noticed(settings):
    stored = bytearray(encrypt("secret"))
    stored[20] ^= 1
    with pytest.raises(InvalidToken):
        decrypt(bytes(stored))
