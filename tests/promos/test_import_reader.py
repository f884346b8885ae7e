"""A file as records: lines, quotes, ends of lines, damage."""

import gzip

import pytest
from django.utils import translation

from promos.imports.errors import FileRefused
from promos.imports.profiles import DEFAULT, PROFILES
from promos.imports.reader import MAX_LINE, MAX_RECORD_LINES, read_records, verify


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


@pytest.fixture
def written(tmp_path):
    def write(content: bytes, name: str = "file.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def records(path):
    return [(r.line, r.cells, r.fault) for r in read_records(path, DEFAULT)]


def test_line_ends_may_come_in_turn(written):
    path = written(b"a,b\r\n1,2\n3,4\r5,6\r\n7,8")

    found = records(path)

    assert found == [
        (1, ["a", "b"], ""), (2, ["1", "2"], ""), (3, ["3", "4"], ""), (4, ["5", "6"], ""),
        (5, ["7", "8"], ""),
    ]  # fmt: skip
    assert verify(path, DEFAULT) == 5


def test_a_line_break_in_quotes_keeps_the_line_numbers_right(written):
    path = written(b'1,"two\nlines, ""quoted""",3\nx,y,z\n')

    assert records(path) == [(1, ["1", 'two\nlines, "quoted"', "3"], ""), (3, ["x", "y", "z"], "")]


def test_an_open_quote_gives_up_its_own_line_only(written):
    path = written(b'1,"never closed\n2,b\n3,"c"\n4,d\n')

    assert records(path) == [
        (1, [], "quote_not_closed"), (2, ["2", "b"], ""), (3, ["3", "c"], ""), (4, ["4", "d"], ""),
    ]  # fmt: skip


def test_an_open_quote_does_not_swallow_a_long_file(written):
    rest = b"".join(b"%d,x\n" % number for number in range(2, 500))
    path = written(b'1,"never closed\n' + rest)

    found = records(path)

    assert [line for line, _cells, fault in found if fault] == [1]
    assert [line for line, _cells, fault in found if not fault] == list(range(2, 500))
    assert len(rest.splitlines()) > MAX_RECORD_LINES


def test_a_long_line_is_refused_and_the_next_one_is_read(written):
    path = written(b"1,a\n2," + b"x" * (3 * MAX_LINE) + b"\n3,c\n")

    assert records(path) == [(1, ["1", "a"], ""), (2, [], "line_too_long"), (3, ["3", "c"], "")]


def test_blank_lines_are_named_unless_they_end_the_file(written):
    path = written(b"1,a\n\n3,c\n\n\n")

    assert records(path) == [(1, ["1", "a"], ""), (2, [], "empty_row"), (3, ["3", "c"], "")]


@pytest.mark.parametrize("stop", [5, 30, -1])
def test_a_cut_gzip_is_refused(written, stop):
    path = written(gzip.compress(b"a,b\n" * 1000)[:stop], "file.csv.gz")

    with pytest.raises(FileRefused) as caught:
        verify(path, DEFAULT)

    assert caught.value.detail == "file.csv.gz is cut off: the gzip stream has no end."


def test_a_damaged_gzip_is_refused(written):
    content = bytearray(gzip.compress(b"a,b\n" * 1000))
    content[-6] ^= 0xFF  # its checksum
    path = written(bytes(content), "file.csv.gz")

    with pytest.raises(FileRefused) as caught:
        verify(path, DEFAULT)

    assert caught.value.detail == "file.csv.gz is damaged: the gzip stream does not unpack."


def test_gzip_is_told_by_its_bytes_and_not_by_its_name(written):
    path = written(gzip.compress(b"a,b\n"), "file.csv")

    assert records(path) == [(1, ["a", "b"], "")]


def test_another_encoding_is_named_with_its_line(written):
    path = written("a,b\nкухня,1\n".encode("cp1251"))

    with pytest.raises(FileRefused) as caught:
        verify(path, DEFAULT)

    assert caught.value.detail.strip() == "The file is not UTF-8: byte 0xEA near line 2."


def test_utf8_is_not_spoiled_by_a_single_byte_profile(written):
    path = written("а;б\nкухня;1\n".encode())

    with pytest.raises(FileRefused) as caught:
        verify(path, PROFILES["1c"])

    assert caught.value.detail.strip() == "The file is UTF-8; read as cp1251 its letters would be spoiled."


def test_an_empty_and_a_missing_file_are_refused(written, tmp_path):
    with pytest.raises(FileRefused) as empty:
        verify(written(b""), DEFAULT)
    with pytest.raises(FileRefused) as missing:
        verify(tmp_path / "none.csv", DEFAULT)

    assert empty.value.detail == "The file is empty."
    assert missing.value.detail == f"There is no file {tmp_path / 'none.csv'}."
