"""What every table shares: time-ordered keys, bounded money, the transaction id that the pipeline reads."""

from typing import Any

import pgtrigger
from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from svoykrug.db.triggers import append_only

__all__ = [
    "ChangingRecord",
    "EncryptedField",
    "Index",
    "MoneyField",
    "Record",
    "append_only",
    "count_row_versions",
    "stamp_sync_xid",
    "uuid7",
]


class MoneyField(models.DecimalField):
    """Roubles or bonuses: numeric(14,2), never float."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = 14, 2
        super().__init__(*args, **kwargs)


class EncryptedField(models.BinaryField):
    """What `svoykrug.encryption.encrypt` returned; `manage.py rotate_secrets` finds it by this class."""

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


class Index(models.Index):
    """An index whose name may use PostgreSQL's 63 characters; Django's 30 are other databases'."""

    max_name_length = 63


class Record(models.Model):
    """A row with a UUID version 7: ordered by time, so B-trees stay compact at millions of rows."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True


class ChangingRecord(Record):
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class CurrentTransactionId(models.Func):
    """The id of the writing transaction, as bigint."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class SyncXidField(models.BigIntegerField):
    """The transaction that wrote the row last; the pipeline cuts its windows by it (decision 0002)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["db_default"], kwargs["editable"] = CurrentTransactionId(), False
        super().__init__(*args, **kwargs)


def stamp_sync_xid() -> pgtrigger.Trigger:
    """Set `sync_xid` to the writing transaction's id, whoever writes and however.

    The column's default does it for ordinary inserts, so the condition, which costs next to
    nothing, is all that most rows meet: calling the function was measured at 7 to 110 µs a row.
    """
    return pgtrigger.Trigger(
        name="stamp_sync_xid",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        condition=pgtrigger.Condition("NEW.sync_xid IS DISTINCT FROM pg_current_xact_id()::text::bigint"),
        func="NEW.sync_xid = pg_current_xact_id()::text::bigint; RETURN NEW;",
    )


def count_row_versions() -> pgtrigger.Trigger:
    """Count the states of a row: the higher `row_version` is the newer, whichever transaction wrote it."""
    return pgtrigger.Trigger(
        name="count_row_versions",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func="NEW.row_version = OLD.row_version + 1; RETURN NEW;",
    )
