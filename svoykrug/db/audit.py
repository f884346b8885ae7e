"""Every write on record: triggers that fill `audit_logs`, whoever writes and however.

A model declares them in one line, `triggers = [*audited("status", "amount")]`. The columns named
are an allow-list: their values are recorded in clear, and of any other only that it changed, so
that a new secret or a name that is later anonymised never stands in the journal.
"""

import json
from decimal import Decimal
from typing import Any

import pgtrigger
from django.apps import apps
from django.db import models

from svoykrug.db.triggers import Trigger, no_truncate

MASK = "•••"
# Written by machines at every turn: a change of these alone is not worth a row.
UNRECORDED = frozenset(
    {"updated_at", "last_used_at", "last_seen_at", "last_login", "sync_xid", "row_version"}
)
# They say nothing that must be forgotten.
ALWAYS_CLEAR = ("id", "created_at")
# The name is full, lest a temporary table takes the rows.
RECORD = "INSERT INTO public.audit_logs (table_name, row_id, action, changes)"


def by_database(sql: str) -> models.Func:
    """Return a default that the database computes, so that a trigger need not name the column."""
    return models.Func(template=sql)


class ExactNumbers(json.JSONDecoder):
    """Reads sums as they were written: 3.10, and never a float."""

    def __init__(self) -> None:
        super().__init__(parse_float=Decimal)


class _AuditTrigger(Trigger):
    when = pgtrigger.After

    def __init__(self, clear: tuple[str, ...] = (), unrecorded: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.clear = clear
        self.unrecorded = UNRECORDED.union(unrecorded)

    def columns(self, model: Any) -> list[str]:
        """Return the recorded columns of the table; a misspelt name of the allow-list is an error."""
        known = [field.column for field in model._meta.concrete_fields]
        if unknown := {*self.clear, *(self.unrecorded - UNRECORDED)} - {*known}:
            raise ValueError(f"{model._meta.label} has no columns {sorted(unknown)} to audit.")
        return [column for column in known if column not in self.unrecorded]

    def values(self, old: str, new: str) -> str:
        """Return SQL of an object of all columns in clear, e.g. {"status": [old, new]}."""
        pairs = [
            f"'{column}', jsonb_build_array({old.format(column)}, {new.format(column)})"
            for column in self.clear
        ]
        return f"jsonb_build_object({', '.join(pairs)})"


class _AuditInsert(_AuditTrigger):
    """One statement for all new rows: at a mass insert half the cost of a call for each."""

    name = "audit_insert"
    level = pgtrigger.Statement
    operation = pgtrigger.Insert
    referencing = pgtrigger.Referencing(new="new_rows")

    def get_func(self, model: Any) -> str:
        self.columns(model)
        changes = self.values("NULL", '"{}"') if self.clear else "'{}'"
        source = f"SELECT '{model._meta.db_table}', id, 'insert', {changes} FROM new_rows"  # noqa: S608
        return f"{RECORD} {source}; RETURN NULL;"


class _AuditUpdate(_AuditTrigger):
    """One statement for all rows that really changed: half the cost of a call for each.

    A row whose id changed is recorded under both. FULL JOIN is never executed by looking at each row for
    each: a session keeps the plan of its first update, and an inner join planned for one row was
    measured to hang at 20,000.
    """

    name = "audit_update"
    level = pgtrigger.Statement
    operation = pgtrigger.Update
    referencing = pgtrigger.Referencing(old="old_rows", new="new_rows")

    def get_func(self, model: Any) -> str:
        columns = self.columns(model)
        changes = " || ".join(
            f"CASE WHEN {_differs(column)} THEN {self._pair(column)} ELSE '{{}}'::jsonb END"
            for column in columns
        )
        source = f"""SELECT '{model._meta.db_table}', coalesce(o.id, n.id), 'update', {changes}
            FROM old_rows o FULL JOIN new_rows n ON n.id = o.id
            WHERE {" OR ".join(map(_differs, columns))}"""  # noqa: S608
        return f"{RECORD} {source}; RETURN NULL;"

    def _pair(self, column: str) -> str:
        if column in (*ALWAYS_CLEAR, *self.clear):
            return f"""jsonb_build_object('{column}', jsonb_build_array(o."{column}", n."{column}"))"""
        return f"""'{{"{column}": ["{MASK}", "{MASK}"]}}'"""


class _AuditDelete(_AuditTrigger):
    name = "audit_delete"
    operation = pgtrigger.Delete

    def get_func(self, model: Any) -> str:
        changes = self.values('OLD."{}"', "NULL")
        return f"{RECORD} VALUES ('{model._meta.db_table}', OLD.id, 'delete', {changes}); RETURN NULL;"


def _differs(column: str) -> str:
    return f'o."{column}" IS DISTINCT FROM n."{column}"'


def audited(*clear: str, unrecorded: tuple[str, ...] = (), inserted_values: bool = True) -> list[Trigger]:
    """Record every write of a table whose rows change.

    clear            columns whose values are recorded; of others only that they changed
    unrecorded       columns kept only for speed: a change of these alone writes nothing
    inserted_values  whether an INSERT records them too. Without, nothing is lost: what a row began
                     with follows from its later changes and its present state
    """
    return [
        _AuditInsert(clear if inserted_values else ()),
        _AuditUpdate(clear, unrecorded),
        _AuditDelete(clear),
        no_truncate(),
    ]


def audited_append_only() -> list[Trigger]:
    """Record who inserted the rows of a table that refuses everything else; the row itself says what."""
    return [_AuditInsert(), no_truncate()]


def audited_models() -> list[Any]:
    """Return the models whose writes are recorded."""
    return [
        model
        for model in apps.get_models()
        if any(isinstance(trigger, _AuditInsert) for trigger in getattr(model._meta, "triggers", ()))
    ]
