"""The journal in words: columns and values as the pages of staff name them."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import DateTimeField, Model
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext

from loyalty.history import actor_words, history_of, name_actors
from loyalty.models import AuditLog
from svoykrug.db.audit import audited_models

# A page shows the latest; a row seldom has more, and programme staff find the rest in the journal.
SHOWN_CHANGES = 100


@dataclass(frozen=True, slots=True)
class Change:
    when: str
    who: str
    deed: str
    values: list[tuple[str, str, str]]


def changes_of(row: Model) -> list[Change]:
    """Return the latest changes of a row, newest first; three queries however many."""
    rows = list(history_of(row._meta.db_table, row.pk)[:SHOWN_CHANGES])
    names = name_actors(rows)
    return [
        Change(
            moment(change.created_at),
            actor_words(change, names),
            str(change.get_action_display()),
            describe(change),
        )
        for change in rows
    ]


def describe(change: AuditLog) -> list[tuple[str, str, str]]:
    """Return (column, old, new) of each column that changed."""
    model = _model_of(change.table_name)
    fields = {field.column: field for field in model._meta.concrete_fields} if model else {}
    described = []
    for column, (old, new) in change.changes.items():
        field = fields.get(column)
        if old is not None or new is not None:
            name = str(field.verbose_name) if field else column
            described.append((name, _words(field, old), _words(field, new)))
    return described


def _words(field: Any, value: Any) -> str:
    if value in (None, "", []):
        return "—"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if isinstance(value, str) and field:
        if isinstance(field, DateTimeField) and (at := parse_datetime(value)):
            return moment(at)
        return str(dict(field.flatchoices).get(value, value))
    return str(value)


def table_words(table: str) -> str:
    model = _model_of(table)
    return capfirst(str(model._meta.verbose_name_plural)) if model else table


def history_address(change: AuditLog) -> str:
    """Return the page of the row's history; of a table without pages, nothing."""
    if (model := _model_of(change.table_name)) is None:
        return ""
    page = f"admin:{model._meta.app_label}_{model._meta.model_name}_history"
    try:
        return reverse(page, args=[change.row_id])
    except NoReverseMatch:
        return ""


def _model_of(table: str) -> Any:
    return _models_by_table().get(table)


@cache
def _models_by_table() -> dict[str, Any]:
    return {model._meta.db_table: model for model in audited_models()}


def moment(at: datetime) -> str:
    """Return the time in the programme's zone; the theme prints a computed one as it is stored."""
    return date_format(localtime(at), "SHORT_DATETIME_FORMAT")
