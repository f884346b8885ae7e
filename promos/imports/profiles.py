"""How a file is written: one named profile per kind of export.

A file is read by one profile only, the one the operator names. Nothing is guessed row by row:
03.04.2011 is the third of April or it is refused, never sometimes the fourth of March.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

PURCHASE, REFUND = "purchase", "refund"

FIELDS = (
    "external_id", "member_ref", "business_ref", "amount", "category", "purchased_at", "kind", "refund_of",
)  # fmt: skip
OPTIONAL_FIELDS = {"category", "refund_of"}


class DateForm(StrEnum):
    """The spellings of a moment that can be told apart without guessing."""

    ISO = "2010-12-01T08:26:00+00:00"
    DAY_FIRST = "01.12.2010 08:26"
    EXCEL_SERIAL = "40513.35"


ENGLISH = {name: name for name in FIELDS}
RUSSIAN = {
    "номер": "external_id",
    "карта": "member_ref",
    "партнёр": "business_ref",
    "партнер": "business_ref",
    "сумма": "amount",
    "категория": "category",
    "дата": "purchased_at",
    "вид": "kind",
    "возврат_к": "refund_of",
}
ENGLISH_KINDS = {"purchase": PURCHASE, "refund": REFUND}
RUSSIAN_KINDS = {"покупка": PURCHASE, "возврат": REFUND}


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of export.

    columns    header cell → field; a column that is not named here stops the file
    kinds      word → purchase or refund, in lower case
    time_zone  of dates that carry no offset; empty is the programme's own
    """

    name: str
    title: str
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    decimal_comma: bool = False
    thousands: bool = False
    dates: tuple[DateForm, ...] = (DateForm.ISO,)
    time_zone: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: ENGLISH)
    kinds: Mapping[str, str] = field(default_factory=lambda: ENGLISH_KINDS)

    @property
    def is_utf8(self) -> bool:
        return self.encoding.startswith("utf-8")


DEFAULT = Profile("default", "UTF-8, comma, 83.40, 2010-12-01T08:26:00+00:00")
_ONE_C = Profile(
    "1c",
    "1C: Windows-1251, semicolon, 83,40, 01.12.2010 08:26",
    encoding="cp1251",
    delimiter=";",
    decimal_comma=True,
    thousands=True,
    dates=(DateForm.DAY_FIRST,),
    columns=RUSSIAN,
    kinds=RUSSIAN_KINDS,
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        DEFAULT,
        _ONE_C,
        replace(
            _ONE_C,
            name="1c-utf8",
            title="1C: UTF-8, semicolon, 83,40, 01.12.2010 08:26",
            encoding="utf-8-sig",
        ),
        Profile(
            "excel-ru",
            "Excel, Russian: UTF-8, semicolon, 1 234,56, 01.12.2010 08:26 or ISO",
            delimiter=";",
            decimal_comma=True,
            thousands=True,
            dates=(DateForm.ISO, DateForm.DAY_FIRST),
            columns=ENGLISH | RUSSIAN,
            kinds=ENGLISH_KINDS | RUSSIAN_KINDS,
        ),
        Profile("day-first", "UTF-8, comma, 83.40, 01.12.2010 08:26", dates=(DateForm.DAY_FIRST,)),
        Profile("excel-serial", "UTF-8, comma, 83.40, 40513.35", dates=(DateForm.EXCEL_SERIAL,)),
    )
}
