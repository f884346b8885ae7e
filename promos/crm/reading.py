"""A CRM's message read by its mapping. Pure: what comes out is what was said, not yet who and what it is.

Each event of a message stands alone: one that cannot be read does not hold the others back.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from loyalty.errors import InvalidPhone
from loyalty.phones import normalise_phone

from .errors import Unreadable
from .mapping import Amount, Mapping, Moment, Text
from .paths import Path, as_text

MOST_EVENTS = 1000
SHOWN = 60
CANCEL_SUFFIX = ":cancel"
SPACES = re.compile(r"[\s\u00a0\u202f]")
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
DIGITS = re.compile(r"-?[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Told:
    """One purchase, refund or cancellation as the CRM tells it.

    kind      purchase, refund or cancel: the whole of what is left of a purchase is given back
    amount    roubles above zero; None where a cancellation names none
    phone     E.164
    """

    kind: str
    external_id: str
    refund_of: str | None
    phone: str | None
    card: str | None
    amount: Decimal | None
    purchased_at: datetime
    category: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that is none of ours, and why."""

    why: str
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """An event that cannot be read: the field of the mapping and what to do."""

    field: str
    detail: str
    external_id: str = ""


Event = Told | Skipped | Fault


class _Unread(Exception):
    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field, self.detail = field, detail


def parse(body: bytes) -> Any:
    """Return the JSON of a message. Raises Unreadable."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise Unreadable(_("The JSON is nested too deeply.")) from None
    except ValueError as error:
        raise Unreadable(
            _("The message is not JSON in UTF-8 (%(why)s). Let the sender send JSON, then apply it again.")
            % {"why": error}
        ) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def read_events(message: Any, mapping: Mapping) -> list[Event]:
    """Return what a parsed message tells, in its order. Raises Unreadable if its events are not found."""
    events = [message]
    if mapping.events:
        found = mapping.events.find(message, message)
        if not isinstance(found, list):
            raise Unreadable(_("events: there is no list at «%(path)s».") % {"path": mapping.events.text})
        events = found
    if len(events) > MOST_EVENTS:
        raise Unreadable(_("At most %(most)d events in one message.") % {"most": MOST_EVENTS})
    return [_read(message, event, mapping) for event in events]


def _read(message: Any, event: Any, mapping: Mapping) -> Event:
    reader = _Reader(message, event)
    receipt = ""
    try:
        for condition in mapping.when:
            value = as_text(condition.path.find(message, event))
            if value not in condition.values:
                return Skipped(
                    _("«%(path)s» is «%(value)s»: the mapping leaves that out.")
                    % {"path": condition.path.text, "value": _shown(value)}
                )
        kind = reader.needed(mapping.kind, "kind")
        if kind == "skip":
            return Skipped(_("The mapping leaves this kind of event out."))
        if kind not in ("purchase", "refund", "cancel"):
            raise _Unread(
                "kind",
                _('kind: «%(value)s» is not in the mapping\'s values. Add what it means, or "skip".')
                % {"value": _shown(kind)},
            )
        receipt = reader.needed(mapping.external_id, "external_id")
        return _told(reader, mapping, kind, receipt)
    except _Unread as fault:
        return Fault(fault.field, fault.detail, receipt)


def _told(reader: "_Reader", mapping: Mapping, kind: str, receipt: str) -> Event:
    refund_of = None
    if kind != "purchase":
        refund_of = reader.text(mapping.refund_of) if mapping.refund_of else ""
        if kind == "cancel":
            # A cancelled order keeps its number; the row that gives back needs one of its own.
            refund_of = refund_of or receipt
            if receipt == refund_of:
                receipt += CANCEL_SUFFIX
    phone, card = reader.phone(mapping.phone), reader.card(mapping.card)
    if kind == "purchase" and not (phone or card):
        return Skipped(_("It names no customer."), receipt)
    return Told(
        kind=kind,
        external_id=receipt,
        refund_of=refund_of,
        phone=phone,
        card=card,
        amount=reader.amount(mapping.amount, kind),
        purchased_at=reader.moment(mapping.purchased_at),
        category=reader.text(mapping.category) if mapping.category else "",
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """The values of one event."""

    message: Any
    event: Any

    def text(self, wanted: Text) -> str:
        if wanted.path is None:
            return wanted.constant
        value = self.find(wanted.path)
        if isinstance(value, dict | list):
            value = None
        text = as_text(value).strip()
        if wanted.values is not None:
            text = wanted.values.get(text, text if wanted.default is None else wanted.default)
        elif not text and wanted.default is not None:
            text = wanted.default
        return wanted.prefix + text if text else ""

    def needed(self, wanted: Text, field: str) -> str:
        text = self.text(wanted)
        if not text:
            raise _Unread(field, self._nothing(field, wanted.path))
        return text

    def find(self, path: Path) -> Any:
        return path.find(self.message, self.event)

    def phone(self, path: Path | None) -> str | None:
        text = as_text(self.find(path)).strip() if path else ""
        if not text:
            return None
        # Vendors store digits alone; those of a number with its country's code need the plus.
        dialled = (
            f"+{text}" if text.isascii() and text.isdigit() and len(text) > 10 and text[0] != "8" else text
        )
        try:
            return normalise_phone(dialled)
        except InvalidPhone:
            return None

    def card(self, path: Path | None) -> str | None:
        value = self.find(path) if path else None
        return None if isinstance(value, dict | list) else as_text(value).strip() or None

    def amount(self, wanted: Amount, kind: str) -> Decimal | None:
        value = self.find(wanted.path)
        if value is None and kind == "cancel":
            return None
        if value is None or value == "":
            raise _Unread("amount", self._nothing("amount", wanted.path))
        text = SPACES.sub("", as_text(value)).replace(",", ".")
        if isinstance(value, bool | dict | list) or not PLAIN_NUMBER.fullmatch(text):
            raise _Unread(
                "amount",
                _("amount: «%(value)s» at «%(path)s» is no number.")
                % {"value": _shown(value), "path": wanted.path.text},
            )
        amount = Decimal(text)
        if wanted.in_kopecks:
            if amount != amount.to_integral_value():
                raise _Unread(
                    "amount",
                    _("amount: %(value)s is no whole number of kopecks; are these roubles?")
                    % {"value": _shown(value)},
                )
            amount = amount / 100
        # Systems write what is given back below zero or above; the kind says it already.
        amount = abs(amount) if kind != "purchase" else amount
        return _two_decimals(amount)

    def moment(self, wanted: Moment) -> datetime:
        value = self.find(wanted.path)
        if value is None or value == "" or isinstance(value, dict | list | bool):
            raise _Unread("purchased_at", self._nothing("purchased_at", wanted.path))
        text = as_text(value).strip()
        try:
            found = _moment(text, wanted)
        except (ValueError, OverflowError, OSError):
            raise _Unread(
                "purchased_at",
                _("purchased_at: «%(value)s» is not written as %(form)s.")
                % {"value": _shown(text), "form": wanted.form},
            ) from None
        if not 1900 < found.year < 2200:
            raise _Unread(
                "purchased_at", _("purchased_at: the year %(year)d cannot be meant.") % {"year": found.year}
            )
        return found

    def _nothing(self, field: str, path: Path | None) -> str:
        return _(
            "%(field)s: there is nothing at «%(path)s» of the message. Correct the path or the sender."
        ) % {
            "field": field,
            "path": path.text if path else "",
        }


def _moment(text: str, wanted: Moment) -> datetime:
    if wanted.form in ("unix", "unix_ms"):
        if not DIGITS.fullmatch(text):
            raise ValueError
        return datetime.fromtimestamp(int(text) / (1000 if wanted.form == "unix_ms" else 1), UTC)
    found = (
        datetime.fromisoformat(text) if wanted.form == "iso" else datetime.strptime(text, wanted.form)  # noqa: DTZ007  the zone follows
    )
    if found.tzinfo:
        return found.astimezone(UTC)
    aware = found.replace(tzinfo=wanted.zone).astimezone(UTC)
    # An hour over which the clocks were moved never was.
    if aware.astimezone(wanted.zone).replace(tzinfo=None) != found:
        raise ValueError
    return aware


def _two_decimals(amount: Decimal) -> Decimal:
    """Return 10.5 as 10.50; what has more than kopecks is left for the checkout to refuse."""
    rounded = amount.quantize(Decimal("0.01"))
    return rounded if rounded == amount else amount


def _shown(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
