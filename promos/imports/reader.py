"""A file as records: streamed in bounded memory, with the line every record begins on.

The first pass reads the bytes to the end (is the gzip whole, does every byte decode?) before
anything is stored; the second one yields records.
"""

import codecs
import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from django.utils.translation import gettext as _

from .errors import FileRefused
from .profiles import Profile

BLOCK = 1 << 18
# Eight short cells take a few hundred characters; a longer line is a fault and is never held whole.
MAX_LINE = 1 << 16
# A quoted cell may span lines; a quote that stays open longer was never meant to.
MAX_RECORD_LINES = 50

QUOTE_NOT_CLOSED, LINE_TOO_LONG, BLANK = "quote_not_closed", "line_too_long", "empty_row"


class FileRecord(NamedTuple):
    """A record and the physical line it begins on; with a fault there are no cells."""

    line: int
    cells: list[str]
    fault: str = ""


def open_bytes(path: Path) -> BinaryIO:
    """Open a plain or gzipped file; the first two bytes tell, not the name."""
    if not path.exists():
        raise FileRefused(_("There is no file %s.") % path)
    if not path.is_file():
        raise FileRefused(_("%s is not a regular file; it is read twice.") % path)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileRefused(
            _("%(path)s cannot be read: %(why)s.") % {"path": path, "why": error.strerror}
        ) from error
    magic = stream.read(2)
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream, mode="rb") if magic == b"\x1f\x8b" else stream  # type: ignore[return-value]


def verify(path: Path, profile: Profile) -> int:
    """Read the file to its end and return its count of lines; memory holds one block.

    Raises FileRefused when it is empty, cut off, damaged, or not in the profile's encoding.
    """
    decoder = codecs.getincrementaldecoder(profile.encoding)()
    utf8 = codecs.getincrementaldecoder("utf-8")()
    maybe_utf8, beyond_ascii, size, lines, last = not profile.is_utf8, False, 0, 0, b""
    with open_bytes(path) as stream:
        while block := _read_block(stream, path):
            size += len(block)
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                before = block[: max(error.start, 0)]
                raise FileRefused(
                    _("The file is not %(encoding)s: byte 0x%(byte)02X near line %(line)d. ")
                    % {
                        "encoding": "UTF-8" if profile.is_utf8 else profile.encoding,
                        "byte": error.object[error.start],
                        "line": lines + _line_ends(before, last) + 1,
                    },
                    hint=True,
                ) from error
            if maybe_utf8:
                beyond_ascii = beyond_ascii or not block.isascii()
                try:
                    utf8.decode(block)
                except UnicodeDecodeError:
                    maybe_utf8 = False
            lines += _line_ends(block, last)
            last = block[-1:]
    if not size:
        raise FileRefused(_("The file is empty."))
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise FileRefused(_("The file ends in the middle of a character."), hint=True) from error
    if maybe_utf8 and beyond_ascii:
        raise FileRefused(
            _("The file is UTF-8; read as %s its letters would be spoiled. ") % profile.encoding, hint=True
        )
    return lines + (last not in (b"\n", b"\r"))


def _read_block(stream: BinaryIO, path: Path) -> bytes:
    try:
        return stream.read(BLOCK)
    except EOFError as error:
        raise FileRefused(_("%s is cut off: the gzip stream has no end.") % path.name) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileRefused(_("%s is damaged: the gzip stream does not unpack.") % path.name) from error
    except OSError as error:
        raise FileRefused(
            _("%(path)s cannot be read: %(why)s.") % {"path": path.name, "why": error.strerror or error}
        ) from error


def _line_ends(block: bytes, previous: bytes) -> int:
    ends = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return ends - (previous == b"\r" and block[:1] == b"\n")


def read_records(path: Path, profile: Profile) -> Iterator[FileRecord]:
    """Yield every record, faulty and blank ones too; blank lines at the very end are left out."""
    with open_bytes(path) as stream:
        # newline="" keeps the line ends, so CRLF, LF and CR may come in turn.
        buffered = io.BufferedReader(stream, BLOCK)  # type: ignore[arg-type]
        text = io.TextIOWrapper(buffered, encoding=profile.encoding, newline="")
        blank: list[int] = []
        for record in _Lines(text).records(profile.delimiter):
            if record.fault == BLANK:
                # Held back, but not without bound: only the end of a file may be blank for free.
                blank.append(record.line)
                if len(blank) > MAX_RECORD_LINES:
                    yield FileRecord(blank.pop(0), [], BLANK)
                continue
            if blank:
                yield from (FileRecord(line, [], BLANK) for line in blank)
                blank.clear()
            yield record


class _Lines:
    """Physical lines of a text stream; those read ahead in vain are handed out again."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.readline = text.readline
        self.again: deque[str] = deque()
        self.number = 0

    def next_line(self) -> str:
        self.number += 1
        return self.again.popleft() if self.again else self.readline(MAX_LINE)

    def records(self, delimiter: str) -> Iterator[FileRecord]:
        readline, again = self.readline, self.again
        while line := again.popleft() if again else readline(MAX_LINE):
            self.number += 1
            number = self.number
            if len(line) >= MAX_LINE:
                self._skip_rest(line)
                yield FileRecord(number, [], LINE_TOO_LONG)
            elif '"' in line:
                yield self._quoted(line, number, delimiter)
            elif bare := line.rstrip("\r\n"):
                # Without quotes a line is a record, and str.split is the fastest parser there is.
                yield FileRecord(number, bare.split(delimiter))
            else:
                yield FileRecord(number, [], BLANK)

    def _skip_rest(self, line: str) -> None:
        while line and line[-1] not in "\r\n":
            line = self.readline(MAX_LINE)

    def _quoted(self, first: str, number: int, delimiter: str) -> FileRecord:
        """Parse a record with quotes, over as many lines as it needs.

        When it makes no sense, only its first line is given up: what follows may be sound.
        """
        taken = [first]

        def feed() -> Iterator[str]:
            yield first
            size = len(first)
            while len(taken) < MAX_RECORD_LINES and size < MAX_LINE:
                line = self.next_line()
                if not line:
                    return
                taken.append(line)
                size += len(line)
                yield line

        try:
            return FileRecord(number, next(csv.reader(feed(), delimiter=delimiter, strict=True)))
        except csv.Error:
            self.again.extendleft(reversed(taken[1:]))
            self.number = number
            return FileRecord(number, [], QUOTE_NOT_CLOSED)
