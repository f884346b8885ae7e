"""Objects of models out of rows of hand-written queries, for what every call asks."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def columns(model: type[Model], alias: str) -> str:
    """Return the model's columns as a query selects them, for `instances`."""
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


def instances(row: Sequence[Any], *models: type[Model]) -> list[Any]:
    """Return an object of each model from a row of their columns, one model's after the other's."""
    found, start = [], 0
    for model in models:
        names = [field.attname for field in model._meta.concrete_fields]
        found.append(model.from_db(connection.alias, names, row[start : start + len(names)]))
        start += len(names)
    return found
