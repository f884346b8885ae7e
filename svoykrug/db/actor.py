"""Who acts: known to each surface, carried to the database by our backend, written into `audit_logs`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _


class ActorKind(models.TextChoices):
    """As what somebody acts. One person may be staff in the admin and a member elsewhere."""

    MEMBER = "member", _("member")
    STAFF = "staff", _("staff")
    API_KEY = "api_key", _("API key")
    VISITOR = "visitor", _("visitor")
    TASK = "task", _("scheduled task")
    COMMAND = "command", _("command")
    SYSTEM = "system", _("system")


PEOPLE = (ActorKind.MEMBER.value, ActorKind.STAFF.value)


@dataclass(frozen=True, slots=True)
class Actor:
    """id: of the member or of the API key. request_id: of the request, the task or the command's run."""

    kind: ActorKind
    id: UUID | None = None
    request_id: str = ""


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current_actor() -> Actor | None:
    """Return who acts now; None is the system."""
    return _actor.get()


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Write in the name of the actor until the block ends."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def become(kind: ActorKind, actor_id: UUID) -> None:
    """Say who it is, once a request has shown it; nothing happens outside `acting_as`, which ends it."""
    if actor := _actor.get():
        _actor.set(replace(actor, kind=kind, id=actor_id))
