"""Tables as files that a spreadsheet opens without questions."""

import csv
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

# By these a spreadsheet knows a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"


class _Echo:
    """A file that returns what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_answer(rows: Iterable[Iterable[str]], *, file_name: str) -> StreamingHttpResponse:
    """Answer with the rows as CSV, the names of the columns first, however many.

    Semicolons and the mark of UTF-8 are what spreadsheets of this country expect.
    """
    response = StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _lines(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    writer = csv.writer(_Echo(), delimiter=";")
    mark = BYTE_ORDER_MARK
    for row in rows:
        yield mark + writer.writerow([_harmless(text) for text in row])
        mark = ""


def _harmless(text: str) -> str:
    """Keep a spreadsheet from taking a name for a formula; a phone or a sum may begin with its sign."""
    if not text.startswith(FORMULA) or text.startswith("+7 ") or _is_number(text):
        return text
    return f"'{text}"


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdecimal()
