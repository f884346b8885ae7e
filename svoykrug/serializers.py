"""Fields and serializers shared by the API of every app."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from django.core.validators import MaxLengthValidator, ProhibitNullCharactersValidator
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

LONGEST_NAME_SHOWN = 80
# Printable text holds no character that the last two refuse.
OF_ANY_TEXT = {MaxLengthValidator, ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator}


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, naming each: a misspelt field must not pass silently.

    exactly_one  one field stands for all, never two at once; the serializer refuses what does not obey
    """

    exactly_one = False

    @cached_property
    def _asked(self) -> list[tuple[str, Any, bool, Any]]:
        """Each field by name, whether its absence means anything, and its own further check."""
        return [
            (
                name,
                field,
                field.required or field.default is not empty,
                getattr(self, f"validate_{name}", None),
            )
            for name, field in self.fields.items()
        ]

    def to_internal_value(self, data: Any) -> Any:
        """As DRF's, which looks at every field of every row of a batch, given or not: twice the time."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field, is_missed, further in self._asked:
            if name not in data and not is_missed:
                continue
            try:
                value = field.run_validation(data.get(name, empty))
                values[field.source] = further(value) if further else value
            except ValidationError as error:
                errors[name] = error.detail
        for name in unknown_names(data, self.fields):
            errors[name] = [ErrorDetail(str(_("There is no such field.")), code="unknown_field")]
        if errors:
            raise ValidationError(errors)
        return values

    def run_validators(self, value: Any) -> None:
        """As DRF's, which copies all values first, for validators or for none: a fifth of a row's time."""
        if self.validators:
            super().run_validators(value)


class StrictSerializerSchema(OpenApiSerializerExtension):
    """Says in the description that there are no other fields, which texts may not be empty, and where
    exactly one field must be given."""

    target_class = "svoykrug.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        schema["additionalProperties"] = False
        for name, field in self.target.fields.items():
            if isinstance(field, serializers.CharField) and not field.allow_blank:
                schema["properties"][name].setdefault("minLength", 1)
        if getattr(self.target, "exactly_one", False):
            schema |= {"minProperties": 1, "maxProperties": 1}
        return schema


@cache
def _ready(serializer: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return one instance for the process: a new one copies its fields, which costs more than their use.

    A serializer keeps nothing of a call in `run_validation` and `to_representation`.
    """
    return serializer()


def validated(serializer: type[StrictSerializer], data: Any) -> dict[str, Any]:
    """Return what the body says. Raises ValidationError, naming the fields."""
    try:
        return dict(_ready(serializer).run_validation(data))
    except ValidationError:
        # The same refusal, in the form in which DRF gives errors of the body as a whole.
        serializer(data=data).is_valid(raise_exception=True)
        raise


def represented(serializer: type[serializers.Serializer[Any]], instance: Any) -> dict[str, Any]:
    """Return the answer that the serializer makes of this object."""
    return _ready(serializer).to_representation(instance)


def unknown_names(data: Mapping[str, Any], known: Any) -> list[str]:
    """Return the names that are not known, shortened to what a message can show."""
    return [str(name)[:LONGEST_NAME_SHOWN] for name in data if name not in known]


class TextField(serializers.CharField):
    """Text of a request: a number is refused, not turned into one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._clean_if_printable = {type(validator) for validator in self.validators} <= OF_ANY_TEXT

    def run_validation(self, data: Any = empty) -> Any:
        """As DRF's, which takes ten times as long over a text that plainly has nothing wrong with it."""
        if (
            self._clean_if_printable
            and type(data) is str
            and 0 < len(data) <= (self.max_length or len(data))
            and data.isprintable()
            and data == data.strip()
        ):
            return data
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": r"^\d{1,12}(\.\d{1,2})?$", "example": "1249.50"}
)
class AmountField(serializers.Field):  # type: ignore[type-arg]
    """Roubles or bonuses, above zero: a string or a JSON number of at most two decimals.

    zero  whether nothing may be said as "0.00", too
    """

    default_error_messages = {
        "invalid": _('Write the amount as a string with at most two decimals, such as "1249.50".'),
        "not_positive": _("The amount must be above zero."),
    }

    def __init__(self, *, decimals: int = 2, zero: bool = False, **kwargs: Any) -> None:
        self.zero = zero
        self.pattern = re.compile(rf"[0-9]{{1,12}}(\.[0-9]{{1,{decimals}}})?")
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        # bool is an int to Python, but no amount.
        if isinstance(data, bool) or not isinstance(data, str | int | Decimal):
            self.fail("invalid")
        if isinstance(data, int) and abs(data) >= 10**12:
            self.fail("invalid")
        text = str(data)
        if text.startswith("-") and self.pattern.fullmatch(text[1:]):
            self.fail("not_positive")
        if not self.pattern.fullmatch(text):
            self.fail("invalid")
        amount = Decimal(text)
        if not amount and not self.zero:
            self.fail("not_positive")
        return amount

    def to_representation(self, value: Decimal) -> str:
        return f"{value:.2f}"


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": r"^-?\d+\.\d{2}$", "example": "1249.50"}
)
class MoneyOut(serializers.Field):  # type: ignore[type-arg]
    """A sum in an answer: always two decimals, never a float."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Decimal | str) -> str:
        return f"{Decimal(value):.2f}"


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field):  # type: ignore[type-arg]
    """An ISO 8601 time with its offset; without one nobody knows which moment is meant."""

    default_error_messages = {
        "invalid": _("Write the time as ISO 8601 with an offset, such as 2026-11-22T18:30:00+03:00."),
    }

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str) or len(data) > 40 or not data.isascii():
            self.fail("invalid")
        try:
            moment = parse_datetime(data)
            if moment is None or moment.tzinfo is None:
                self.fail("invalid")
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()
