"""Write each foreign key's `on_delete` into the database, not only into Django.

Django acts on deletes in Python and leaves NO ACTION in the table, so raw SQL could orphan or
erase what the models protect. docs/relationships.md lists every rule.
"""

import time
from typing import Any

import psycopg
from django.db import models
from django.db.backends.ddl_references import Statement
from django.db.backends.postgresql import base, schema
from django.db.backends.utils import CursorWrapper
from psycopg.pq import Format

from svoykrug.db.postgresql import acting

HEALTHY_FOR_SECONDS = 5.0
TIMESTAMPTZ_LOADER = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)
DELETE_RULES = {
    models.CASCADE: "CASCADE",
    models.PROTECT: "RESTRICT",
    models.RESTRICT: "RESTRICT",
    models.SET_NULL: "SET NULL",
    models.DO_NOTHING: "NO ACTION",
}


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    # With no inline form every key goes through _create_fk_sql below.
    sql_create_column_inline_fk = None

    def _create_fk_sql(self, model: Any, field: Any, suffix: str) -> Statement:
        statement = super()._create_fk_sql(model, field, suffix)
        rule = DELETE_RULES[field.remote_field.on_delete]
        statement.template = statement.template.replace(
            " REFERENCES %(to_table)s (%(to_column)s)",
            f" REFERENCES %(to_table)s (%(to_column)s) ON DELETE {rule}",
        )
        if "ON DELETE" not in statement.template:
            raise AssertionError("Django changed its foreign key template")
        return statement


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
    _seen_healthy = -HEALTHY_FOR_SECONDS

    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "cursor_factory": acting.Cursor}

    def get_new_connection(self, conn_params: dict[str, Any]) -> acting.Connection:
        connection = super().get_new_connection(conn_params)
        # Django names no class of connection unless it pools them; ours adds methods only.
        connection.__class__ = acting.Connection
        return connection

    def close_if_health_check_failed(self) -> None:
        """Look after the connection every few seconds, not at each request: it costs a round trip.

        Should the server restart in between, a worker answers one request 503 and connects anew.
        """
        if self.connection is None or not self.health_check_enabled or self.health_check_done:
            return
        now = time.monotonic()
        if now - self._seen_healthy < HEALTHY_FOR_SECONDS:
            # Done for this request: Django asks again when a transaction ends, too late for a look.
            self.health_check_done = True
            return
        super().close_if_health_check_failed()
        self._seen_healthy = now

    def kept_cursor(self) -> CursorWrapper:
        """Return the connection's own cursor, for answers that are read before the next statement.

        Making one costs as much as handing a short statement over.
        """
        if self.queries_logged:
            return self.cursor()
        self.close_if_health_check_failed()
        self.ensure_connection()
        if self.connection.kept_cursor is None:
            kept = self.cursor()
            # psycopg's own, in C: Django's, in Python, takes five times as long for the same moment.
            kept.cursor.adapters.register_loader("timestamptz", TIMESTAMPTZ_LOADER)
            self.connection.kept_cursor = kept
        return self.connection.kept_cursor

    @property
    def queries_logged(self) -> bool:
        """Keep statements only where a test asks for them.

        Django keeps the last 9,000 whenever DEBUG is on; an import's are megabytes each.
        """
        return bool(self.force_debug_cursor)
