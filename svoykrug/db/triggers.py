"""Triggers that cannot be switched off by a setting of the session."""

from typing import Any

import pgtrigger
from pgtrigger import compiler


class TriggerSql(compiler.UpsertTriggerSql):
    """The library's installation without its `pgtrigger.ignore`.

    Each call would ask that setting in a subtransaction of its own, and whoever may set it would
    leave no trace. Migrations name this class: change the template only together with its name.
    """

    def get_template(self) -> str:
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS TRIGGER AS $$
                {declare}
                BEGIN
                    {func}
                END;
            $$ LANGUAGE plpgsql;

            CREATE OR REPLACE {constraint} TRIGGER {pgid}
                {when} {operation} ON {table}
                {timing}
                {referencing}
                FOR EACH {level} {condition}
                EXECUTE FUNCTION {execute};

            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class Trigger(pgtrigger.Trigger):
    def compile(self, model: Any) -> compiler.Trigger:
        options = dict(super().compile(model).sql.kwargs)
        del options["ignore_func_name"]
        return compiler.Trigger(name=self.name, sql=TriggerSql(**options))


class Refuse(Trigger):
    """Refuse the operation with an error that names the table."""

    when = pgtrigger.Before

    def get_func(self, model: Any) -> str:
        deed = str(self.operation).lower()
        return f"RAISE EXCEPTION 'Cannot {deed} rows from % table', TG_TABLE_NAME;"


def append_only() -> Refuse:
    """Refuse every update and delete of a row: what is recorded stays."""
    return Refuse(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)


def no_truncate() -> Refuse:
    """Refuse to empty the table at once, which would pass by the triggers of its rows."""
    return Refuse(name="no_truncate", level=pgtrigger.Statement, operation=pgtrigger.Truncate)
