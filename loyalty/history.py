"""What the journal says of a row, and by whom: reads of `audit_logs` for people."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from loyalty.models import ApiKey, AuditLog, Member
from svoykrug.db.actor import PEOPLE, ActorKind
from svoykrug.db.audit import audited_models


def history_of(table: str, row_id: UUID) -> QuerySet[AuditLog]:
    """Return every recorded change of a row, newest first."""
    return AuditLog.objects.filter(table_name=table, row_id=row_id).order_by("-created_at", "-id")


def about_id(any_id: UUID) -> Q:
    """Match the changes of a row of any table, or those that a person of that id made."""
    # Each table by name: then both halves are found by an index.
    tables = [model._meta.db_table for model in audited_models()]
    return Q(table_name__in=tables, row_id=any_id) | Q(actor_kind__in=PEOPLE, actor_id=any_id)


def name_actors(changes: Iterable[AuditLog]) -> dict[UUID, str]:
    """Return who stands behind the ids of the changes, as partners may see them; two queries."""
    kinds = {change.actor_id: change.actor_kind for change in changes if change.actor_id}
    people = [actor for actor, kind in kinds.items() if kind in PEOPLE]
    keys = [actor for actor, kind in kinds.items() if kind == ActorKind.API_KEY]
    names = {member.pk: str(member) for member in Member.objects.filter(pk__in=people)}
    for key in ApiKey.objects.filter(pk__in=keys).select_related("business"):
        names[key.pk] = str(key.business)
    return names


def actor_words(change: AuditLog, names: dict[UUID, str]) -> str:
    """Return e.g. «staff: Anna», «API key: Bakery», «system»."""
    kind = str(change.get_actor_kind_display())
    if change.actor_id is None:
        return kind
    return f"{kind}: {names.get(change.actor_id) or gettext('no longer there')}"
