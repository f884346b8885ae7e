"""One record of a file as a purchase or a refund to be recorded, or the reason why not."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.models import Business
from promos.services.checks import programme_start
from svoykrug.money import round_half_up

from .cells import SPACES, amount_reader, date_reader, lookalike, read_reference, read_text, shown
from .errors import CellFault
from .profiles import FIELDS, PURCHASE, REFUND, Profile
from .reader import BLANK, LINE_TOO_LONG, MAX_LINE, QUOTE_NOT_CLOSED, FileRecord

LONGEST_RECEIPT, LONGEST_CARD, LONGEST_CODE, LONGEST_CATEGORY = 200, 64, 32, 200


class Row(NamedTuple):
    """A sound row. The card's member is not known yet: members are looked up for many rows at once."""

    line: int
    kind: str
    business: Business
    external_id: str
    card: str
    amount: Decimal
    purchased_at: datetime
    category: str
    refund_of: str
    cells: list[str]


class RowReader:
    """Reads the rows of one file.

    columns        field → column number
    businesses     partners by code
    shift          added to every date
    amount_factor  every amount is multiplied by it (the demo turns pounds into roubles)
    at             the moment of the import; later dates are refused
    """

    def __init__(
        self,
        *,
        profile: Profile,
        columns: Mapping[str, int],
        width: int,
        businesses: Mapping[str, Business],
        only: Business | None,
        shift: timedelta,
        amount_factor: Decimal,
        at: datetime,
    ) -> None:
        self.profile, self.columns, self.width = profile, columns, width
        self.businesses, self.only = businesses, only
        self.shift, self.amount_factor = shift, amount_factor
        self.read_amount = amount_reader(profile, limit=settings.AMOUNT_LIMIT_RUB)
        zone = ZoneInfo(profile.time_zone) if profile.time_zone else timezone.get_default_timezone()
        self.read_date = date_reader(profile, zone=zone)
        self.earliest, self.latest = programme_start(), at + timedelta(hours=settings.MAX_FUTURE_HOURS)
        # Rows of one visit carry the same moment; reading it once is a third of the time saved.
        self._date_cell: str | None = None
        self._date = at
        self._number_of = [columns.get(name, -1) for name in FIELDS]

    def read(self, record: FileRecord) -> Row:
        """Return the row. Raises CellFault, which names the column."""
        line, cells, fault = record
        if fault:
            raise _record_fault(fault)
        if len(cells) != self.width:
            if not any(cell.strip(SPACES) for cell in cells):
                raise _record_fault(BLANK)
            raise CellFault(
                "columns",
                _("%(found)d columns, %(expected)d expected") % {"found": len(cells), "expected": self.width},
            )
        column = ""
        receipt_, card_, code_, amount_, category_, date_, kind_, refund_of_ = self._number_of
        try:
            column = "external_id"
            external_id = read_reference(cells[receipt_], longest=LONGEST_RECEIPT)
            if not external_id:
                if not any(cell.strip(SPACES) for cell in cells):
                    raise _record_fault(BLANK)
                raise CellFault("reference_missing", _("the receipt number is empty"))
            column = "kind"
            kind = self._kind(cells[kind_])
            column = "business_ref"
            business = self._business(cells[code_] if code_ >= 0 else "")
            column = "amount"
            amount = self.read_amount(cells[amount_])
            if self.amount_factor != 1:
                amount = round_half_up(amount * self.amount_factor)
            column = "purchased_at"
            purchased_at = self._moment(cells[date_])
            column = "category"
            category = read_text(cells[category_], longest=LONGEST_CATEGORY) if category_ >= 0 else ""
            column = "refund_of"
            refund_of = read_reference(cells[refund_of_], longest=LONGEST_RECEIPT) if refund_of_ >= 0 else ""
            if kind == REFUND and not refund_of:
                raise CellFault("refund_unlinked", _("the refund names no purchase"))
            if kind == PURCHASE and refund_of:
                raise CellFault("refund_of_on_purchase", _("a purchase names a purchase that it refunds"))
            column = "member_ref"
            card = read_reference(cells[card_], longest=LONGEST_CARD)
            if not card:
                raise CellFault("member_not_found", _("the card number is empty"))
        except CellFault as found:
            if found.code != BLANK:
                found.column = column
            raise
        return Row(line, kind, business, external_id, card, amount, purchased_at, category, refund_of, cells)

    def _kind(self, cell: str) -> str:
        kind = self.profile.kinds.get(cell.strip(SPACES).lower())
        if kind is None:
            words = ", ".join(self.profile.kinds)
            reason = _("%(cell)s is none of: %(words)s") % {"cell": shown(cell) or "“”", "words": words}
            raise CellFault("kind_invalid", reason)
        return kind

    def _business(self, cell: str) -> Business:
        business = self.businesses.get(cell)
        if business is None:
            code = read_reference(cell, longest=LONGEST_CODE)
            business = self.businesses.get(code)
            if business is None and not code and self.only:
                business = self.only
            if business is None:
                if alike := lookalike(code):
                    raise CellFault("lookalike", alike)
                raise CellFault(
                    "business_not_found", _("there is no active business %s") % (shown(code) or "“”")
                )
        if self.only and business.pk != self.only.pk:
            raise CellFault(
                "business_not_found", _("the file may only hold purchases of %s") % self.only.code
            )
        return business

    def _moment(self, cell: str) -> datetime:
        if cell != self._date_cell:
            moment = self.read_date(cell) + self.shift
            if moment < self.earliest:
                raise CellFault(
                    "date_out_of_range",
                    _("%(cell)s is before the programme began, %(start)s")
                    % {"cell": shown(cell), "start": settings.PROGRAMME_STARTED_ON},
                )
            if moment > self.latest:
                raise CellFault("date_out_of_range", _("%s is in the future") % shown(cell))
            self._date_cell, self._date = cell, moment
        return self._date


def _record_fault(fault: str) -> CellFault:
    reasons = {
        BLANK: _("the row is empty"),
        QUOTE_NOT_CLOSED: _("a quote is not closed, or text follows it; reading went on at the next line"),
        LINE_TOO_LONG: _("the line is longer than %d characters") % MAX_LINE,
    }
    return CellFault(fault, reasons[fault])
