"""What a mapping says: where in a CRM's message stand the receipt, the member, the sum and the time.

It is JSON kept with the integration; docs/integration.md explains each field by examples. Nothing
here touches the database.
"""

from collections.abc import Mapping as Given
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

from .errors import MappingRefused
from .paths import Path, read_path

KINDS = ("purchase", "refund", "cancel", "skip")
UNITS = ("roubles", "kopecks")
NAMED_FORMATS = ("iso", "unix", "unix_ms")
MOST_VALUES = 200
FIELDS = {
    "events", "when", "kind", "external_id", "refund_of", "member", "amount", "purchased_at", "category",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """The value at the path must be one of these."""

    path: Path
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the message, or a constant.

    values  what each text of the message stands for; another one stands for `default`, or for itself
    """

    path: Path | None
    constant: str = ""
    values: Given[str, str] | None = None
    default: str | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    path: Path
    in_kopecks: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """form  iso, unix, unix_ms, or a pattern of strptime; zone  of times that name none"""

    path: Path
    form: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Mapping:
    """refund_of, category: None where the message has none"""

    events: Path | None
    when: tuple[Condition, ...]
    kind: Text
    external_id: Text
    refund_of: Text | None
    phone: Path | None
    card: Path | None
    amount: Amount
    purchased_at: Moment
    category: Text | None


def read_mapping(given: Any, *, zone: ZoneInfo) -> Mapping:
    """Return the mapping. Raises MappingRefused, naming the part that has to be mended.

    zone  of times for which the mapping names none
    """
    given = _object(given, "mapping", FIELDS)
    for name in ("external_id", "member", "amount", "purchased_at"):
        if name not in given:
            raise MappingRefused(_("%(field)s is missing.") % {"field": name}, field=name)
    member = _object(given["member"], "member", {"phone", "card"})
    if not member:
        raise MappingRefused(_("member: say where the phone or the card stands."), field="member")
    return Mapping(
        events=read_path(given["events"], field="events") if "events" in given else None,
        when=_conditions(given.get("when", [])),
        kind=_kind(given.get("kind", {"value": "purchase"})),
        external_id=_text(given["external_id"], "external_id"),
        refund_of=_text(given["refund_of"], "refund_of") if "refund_of" in given else None,
        phone=read_path(member["phone"], field="member.phone") if "phone" in member else None,
        card=read_path(member["card"], field="member.card") if "card" in member else None,
        amount=_amount(given["amount"]),
        purchased_at=_moment(given["purchased_at"], zone),
        category=_text(given["category"], "category") if "category" in given else None,
    )


def _conditions(given: Any) -> tuple[Condition, ...]:
    if not isinstance(given, list):
        raise MappingRefused(_("when: a list of conditions is needed."), field="when")
    found = []
    for number, each in enumerate(given):
        field = f"when[{number}]"
        condition = _object(each, field, {"path", "in"})
        values = condition.get("in")
        if not (isinstance(values, list) and values and all(isinstance(value, str) for value in values)):
            raise MappingRefused(
                _('%(field)s.in: a list of texts is needed, such as ["closed"].') % {"field": field},
                field=field,
            )
        found.append(Condition(read_path(condition.get("path"), field=f"{field}.path"), frozenset(values)))
    return tuple(found)


def _kind(given: Any) -> Text:
    kind = _text(given, "kind")
    named = [*(kind.values or {}).values(), *([kind.default] if kind.default is not None else [])]
    if kind.path is None:
        named.append(kind.constant)
    elif kind.values is None:
        raise MappingRefused(
            _('kind: say what the values mean, such as "values": {"sale": "purchase", "return": "refund"}.'),
            field="kind",
        )
    for name in named:
        if name not in KINDS:
            raise MappingRefused(
                _("kind: «%(name)s» is none of %(kinds)s.") % {"name": name, "kinds": ", ".join(KINDS)},
                field="kind",
            )
    return kind


def _text(given: Any, field: str) -> Text:
    if isinstance(given, str):
        return Text(read_path(given, field=field))
    given = _object(given, field, {"path", "value", "values", "default", "prefix"})
    values = given.get("values")
    if values is not None and not (
        isinstance(values, dict)
        and len(values) <= MOST_VALUES
        and all(isinstance(value, str) for value in values.values())
    ):
        raise MappingRefused(
            _("%(field)s.values: texts by texts are needed.") % {"field": field}, field=field
        )
    for name in ("value", "default", "prefix"):
        if name in given and not isinstance(given[name], str):
            raise MappingRefused(_("%(field)s must be a text.") % {"field": f"{field}.{name}"}, field=field)
    if ("path" in given) == ("value" in given):
        raise MappingRefused(_('%(field)s: give either "path" or "value".') % {"field": field}, field=field)
    return Text(
        path=read_path(given["path"], field=f"{field}.path") if "path" in given else None,
        constant=given.get("value", ""),
        values=values,
        default=given.get("default"),
        prefix=given.get("prefix", ""),
    )


def _amount(given: Any) -> Amount:
    given = _object({"path": given} if isinstance(given, str) else given, "amount", {"path", "unit"})
    unit = given.get("unit", "roubles")
    if unit not in UNITS:
        raise MappingRefused(_("amount.unit: roubles or kopecks."), field="amount")
    return Amount(read_path(given.get("path"), field="amount.path"), unit == "kopecks")


def _moment(given: Any, zone: ZoneInfo) -> Moment:
    fields = {"path", "format", "zone"}
    given = _object({"path": given} if isinstance(given, str) else given, "purchased_at", fields)
    form = given.get("format", "iso")
    if not isinstance(form, str) or (form not in NAMED_FORMATS and not _is_pattern(form)):
        raise MappingRefused(
            _("purchased_at.format: iso, unix, unix_ms, or a pattern such as %(example)s.")
            % {"example": "%d.%m.%Y %H:%M:%S"},
            field="purchased_at",
        )
    if "zone" in given:
        try:
            zone = ZoneInfo(given["zone"])
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise MappingRefused(
                _("purchased_at.zone: a time zone such as %(example)s.") % {"example": "Asia/Yekaterinburg"},
                field="purchased_at",
            ) from None
    return Moment(read_path(given.get("path"), field="purchased_at.path"), form, zone)


def _is_pattern(form: str) -> bool:
    """Whether it names a whole day and strptime reads back what it writes."""
    moment = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
    try:
        read = datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007  only the day matters
        return read.date() == moment.date()
    except (ValueError, UnicodeError):
        return False


def _object(given: Any, field: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise MappingRefused(_("%(field)s: an object {…} is needed.") % {"field": field}, field=field)
    if unknown := sorted(set(given) - known):
        raise MappingRefused(
            _("%(field)s: there is no «%(name)s» here; known are %(known)s.")
            % {"field": field, "name": unknown[0], "known": ", ".join(sorted(known))},
            field=field,
        )
    return given
