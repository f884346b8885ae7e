"""Vendors that offer only a list are asked for what changed; each item becomes a message.

The mark moves in the transaction that stores the messages, so whoever is killed in between asks for
the same page again and stores nothing twice.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.models import CrmIntegration
from svoykrug.encryption import decrypt
from svoykrug.failpoints import failpoint
from svoykrug.outbound import AddressRefused, Unreachable, get

from .errors import MappingRefused, Unreadable
from .integrations import live_integration, store
from .questions import Cursor, Question, address, advanced, cursor_of, headers, items_of, read_question
from .reading import parse

log = logging.getLogger(__name__)

MOST_BYTES = 8 * 1024 * 1024
MOST_PAGES = 40
LONGEST_PAUSE = timedelta(hours=6)
NO_CONTENT = 204
# Of a session, by integration: a dead process's turn ends with its connection.
LOCK = "SELECT pg_try_advisory_lock(5702002, hashtext(%s))"
UNLOCK = "SELECT pg_advisory_unlock(5702002, hashtext(%s))"


class _Trouble(Exception):
    """The vendor did not answer as expected; the sentence says how."""


def due_integrations(*, at: datetime) -> list[UUID]:
    """Return the integrations to ask now."""
    live = CrmIntegration.objects.filter(is_active=True, business__is_active=True, next_poll_at__lte=at)
    return list(live.exclude(polling={}).order_by("next_poll_at").values_list("pk", flat=True))


def poll(integration_id: UUID, *, at: datetime) -> int | None:
    """Ask for what changed, page by page. Returns how many items came; None where another is at it."""
    with _alone(integration_id) as got:
        integration = live_integration(integration_id) if got else None
        if integration is None or not integration.polling:
            return None
        try:
            question = read_question(integration.polling)
            token = decrypt(integration.token) if integration.token else ""
            found, finished = _pages(integration, question, token, at)
        except (MappingRefused, Unreadable, AddressRefused, Unreachable, _Trouble) as trouble:
            _note_trouble(integration, str(trouble), at)
            return 0
        pause = timedelta(minutes=question.every_minutes) if finished else timedelta(0)
        CrmIntegration.objects.filter(pk=integration_id).update(
            failures=0, last_error="", last_seen_at=at, next_poll_at=at + pause
        )
        return found


def _pages(integration: CrmIntegration, question: Question, token: str, at: datetime) -> tuple[int, bool]:
    """Read and store page after page. Returns how many items there were and whether the list ended."""
    found = 0
    for _page in range(MOST_PAGES):
        cursor = cursor_of(integration.cursor, question)
        answer = _ask(
            address(integration.base_url, question, cursor, token), headers(question, cursor, token)
        )
        bodies = items_of(answer, question) if answer is not None else []
        following = (
            advanced(cursor, answer, question) if answer is not None else Cursor(cursor.seen or cursor.mark)
        )
        failpoint("crm-poll-before-store")
        if not _keep(integration, bodies, following, at):
            return found, True
        failpoint("crm-poll-after-store")
        found += len(bodies)
        if len(bodies) < question.size:
            return found, True
    return found, False


def _ask(url: str, named: dict[str, str]) -> object:
    """Return the parsed answer; None for an empty one."""
    status, body = get(url, named, seconds=settings.WEBHOOK_SECONDS, most=MOST_BYTES)
    if status == NO_CONTENT:
        return None
    if not 200 <= status < 300:
        raise _Trouble(_("The vendor answered with HTTP %(status)d.") % {"status": status})
    return parse(body)


@atomic
def _keep(integration: CrmIntegration, bodies: list[bytes], following: Cursor, at: datetime) -> bool:
    """Store the items and move the mark; not if somebody has changed the settings meanwhile."""
    now = CrmIntegration.objects.select_for_update(no_key=True).filter(pk=integration.pk).first()
    if now is None or (now.cursor, now.polling) != (integration.cursor, integration.polling):
        return False
    store(integration, {hashlib.sha256(b"item:" + body).hexdigest(): body for body in bodies}, at=at)
    integration.cursor = following.as_json()
    CrmIntegration.objects.filter(pk=integration.pk).update(cursor=integration.cursor)
    return True


def _note_trouble(integration: CrmIntegration, trouble: str, at: datetime) -> None:
    """Keep what went wrong, and ask again later and later."""
    failures = min(integration.failures + 1, 1000)
    minutes = integration.polling.get("every_minutes", 5) if isinstance(integration.polling, dict) else 5
    pause = min(
        timedelta(minutes=minutes if isinstance(minutes, int) else 5) * 2 ** min(failures, 10), LONGEST_PAUSE
    )
    CrmIntegration.objects.filter(pk=integration.pk).update(
        failures=failures, last_error=trouble, next_poll_at=at + pause
    )
    log.warning("CRM integration %s was asked in vain, %d times now.", integration.pk, failures)


@contextmanager
def _alone(integration_id: UUID) -> Iterator[bool]:
    """Yield whether this process may ask: one at a time does."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [str(integration_id)])
        (got,) = cursor.fetchone()
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute(UNLOCK, [str(integration_id)])
