"""One-time passwords against the vectors of RFC 6238 (appendix B) and RFC 4226 (appendix D)."""

from datetime import UTC, datetime

import pytest

from loyalty.totp import code_at, enrolment_address, in_base32, matching_step, step_of

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_vectors_of_rfc_6238(seconds, code):
    step = step_of(datetime.fromtimestamp(seconds, tz=UTC))

    assert code_at(SECRET, step, digits=8) == code
    assert code_at(SECRET, step) == code[2:]


def test_vectors_of_rfc_4226():
    assert [code_at(SECRET, counter) for counter in range(10)] == [
        "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
    ]  # fmt: skip


@pytest.mark.parametrize(("behind", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_wrong(behind, fits):
    at = datetime.fromtimestamp(30 * 1_000, tz=UTC)

    assert (matching_step(SECRET, code_at(SECRET, 1_000 - behind), at=at, after=0) is not None) == fits


def test_no_code_is_good_twice_nor_one_before_it():
    at = datetime.fromtimestamp(30 * 1_000, tz=UTC)

    assert matching_step(SECRET, code_at(SECRET, 1_000), at=at, after=999) == 1_000
    assert matching_step(SECRET, code_at(SECRET, 1_000), at=at, after=1_000) is None
    assert matching_step(SECRET, code_at(SECRET, 999), at=at, after=1_000) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "ключ12", "\ud800"[:0] + "абвгде"])
def test_what_is_no_code_fits_nothing(code):
    assert matching_step(SECRET, code, at=datetime.fromtimestamp(59, tz=UTC), after=0) is None


def test_the_address_is_what_authenticators_read():
    address = enrolment_address(SECRET, account="+79160000000", issuer="Свой Круг")

    assert in_base32(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    issuer = "%D0%A1%D0%B2%D0%BE%D0%B9%20%D0%9A%D1%80%D1%83%D0%B3"
    assert address == (f"otpauth://totp/{issuer}%3A%2B79160000000?secret={in_base32(SECRET)}&issuer={issuer}")
