"""One cell at a time: what is read, and what is refused with which words."""

from datetime import UTC, datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from promos.imports.cells import amount_reader, date_reader, read_reference
from promos.imports.errors import CellFault
from promos.imports.profiles import DEFAULT, PROFILES

LIMIT = D("99999999.99")
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def refusal(read, cell: str, **kwargs) -> str:
    with pytest.raises(CellFault) as caught:
        read(cell, **kwargs)
    return caught.value.code


@pytest.mark.parametrize(
    ("cell", "amount"),
    [("83.40", "83.40"), ("7.1", "7.10"), ("5", "5.00"), (" 5.00\u00a0", "5.00"), ("168469.60", "168469.60")],
)
def test_plain_amounts_are_read_to_the_kopeck(cell, amount):
    found = amount_reader(DEFAULT, limit=LIMIT)(cell)

    assert (found, str(found)) == (D(amount), amount)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("", "amount_missing"),
        ("0", "amount_not_positive"),
        ("0.00", "amount_not_positive"),
        ("-0.01", "amount_not_positive"),
        ("\u22125.00", "amount_not_positive"),
        ("12.345", "amount_invalid"),
        ("abc", "amount_invalid"),
        ("1e9", "amount_invalid"),
        ("NaN", "amount_invalid"),
        ("Infinity", "amount_invalid"),
        ("0x10", "amount_invalid"),
        ("1_000", "amount_invalid"),
        ("+5", "amount_invalid"),
        (".5", "amount_invalid"),
        ("1,234.56", "amount_invalid"),
        ("1 234.56", "amount_invalid"),
        ("٣٤", "amount_invalid"),
        ("5.00\n", "amount_invalid"),
        ("100000000.00", "amount_too_large"),
        ("9" * 5000, "amount_too_large"),
    ],
)
def test_odd_amounts_are_refused(cell, code):
    assert refusal(amount_reader(DEFAULT, limit=LIMIT), cell) == code


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1\u00a0234,56", "1234.56"),
        ("12\u202f345,60", "12345.60"),
        ("1 234 567,89", "1234567.89"),
        ("1 000", "1000.00"),
        ("987,6", "987.60"),
    ],
)
def test_the_excel_profile_reads_thousands_and_a_decimal_comma(cell, amount):
    assert amount_reader(PROFILES["excel-ru"], limit=LIMIT)(cell) == D(amount)


@pytest.mark.parametrize("cell", ["1 23,45", "12 34", "1  000", "83.40", "1.234,56"])
def test_the_excel_profile_refuses_what_only_looks_like_thousands(cell):
    assert refusal(amount_reader(PROFILES["excel-ru"], limit=LIMIT), cell) == "amount_invalid"


@pytest.mark.parametrize(
    ("profile", "cell", "moment"),
    [
        ("default", "2009-12-01T07:45:00+00:00", datetime(2009, 12, 1, 7, 45, tzinfo=UTC)),
        ("default", "2009-12-01T07:45:00Z", datetime(2009, 12, 1, 7, 45, tzinfo=UTC)),
        ("day-first", "03.04.2011", datetime(2011, 4, 2, 20, tzinfo=UTC)),
        ("day-first", "13.04.2011 09:05", datetime(2011, 4, 13, 5, 5, tzinfo=UTC)),
        ("excel-serial", "40513", datetime(2010, 11, 30, 21, tzinfo=UTC)),
        ("excel-serial", "40513.3513888889", datetime(2010, 12, 1, 5, 26, tzinfo=UTC)),
        ("excel-serial", "40513,75", datetime(2010, 12, 1, 15, tzinfo=UTC)),
        # The hour that came twice in Moscow is taken as its first coming, UTC+4.
        ("day-first", "31.10.2010 02:30", datetime(2010, 10, 30, 22, 30, tzinfo=UTC)),
    ],
)
def test_dates_are_read_by_the_profile(profile, cell, moment):
    assert date_reader(PROFILES[profile], zone=MOSCOW)(cell) == moment


@pytest.mark.parametrize(
    ("profile", "cell", "code"),
    [
        ("default", "", "date_missing"),
        ("default", "2010-12-01T24:00:00+00:00", "date_invalid"),
        ("default", "2010-12-01T08:26:00", "date_invalid"),
        ("default", "20101201T082600+0000", "date_invalid"),
        ("default", "2011-02-29T08:26:00+00:00", "date_invalid"),
        ("default", "2010-12-01T08:26:00+25:00", "date_invalid"),
        ("default", "40513", "date_invalid"),
        ("default", "03.04.2011", "date_invalid"),
        ("default", "0001-01-01T00:00:00+14:00", "date_out_of_range"),
        ("default", "9999-12-31T23:59:59-12:00", "date_out_of_range"),
        ("day-first", "31.04.2011", "date_invalid"),
        ("day-first", "29.02.2011", "date_invalid"),
        ("day-first", "3.4.11", "date_invalid"),
        ("day-first", "12/25/2010", "date_invalid"),
        ("day-first", "2010-12-01T08:26:00+00:00", "date_invalid"),
        # Clocks in Moscow went from 02:00 to 03:00.
        ("day-first", "28.03.2010 02:30", "date_invalid"),
        ("excel-serial", "60", "date_invalid"),
        ("excel-serial", "1.5", "date_invalid"),
        ("excel-serial", "2958465.5", "date_out_of_range"),
        ("excel-serial", "9999999", "date_invalid"),
    ],
)
def test_odd_dates_are_refused(profile, cell, code):
    assert refusal(date_reader(PROFILES[profile], zone=MOSCOW), cell) == code


def test_outer_spaces_are_trimmed_and_no_break_ones_too():
    assert read_reference(" uci-13085\u00a0 ", longest=64) == "uci-13085"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("uci-13085\u200b", "contains U+200B ZERO WIDTH SPACE"),
        ("uci\u00a0-1", "contains U+00A0 NO-BREAK SPACE"),
        ("\x00", "contains U+0000 NUL"),
        ("a\tb", "contains U+0009 TAB"),
        ("uci-В1", "U+0412 CYRILLIC CAPITAL LETTER VE looks like B"),
    ],
)
def test_a_reference_with_an_odd_character_is_refused_by_its_name(cell, reason):
    with pytest.raises(CellFault) as caught:
        read_reference(cell, longest=64)

    assert caught.value.reason == reason


def test_a_receipt_in_russian_letters_is_sound():
    assert read_reference("ЧЕК № 15/1", longest=200) == "ЧЕК № 15/1"
