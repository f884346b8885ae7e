"""Web sessions in the database by the hash of their key: a dump of it lets nobody in."""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

# As long as Django's column.
KEPT_CHARACTERS = 40


class SessionStore(db.SessionStore):
    """Django's own, but for what stands in the table. The key itself is in the cookie only."""

    def _get_session_from_db(self) -> Any:
        live = self.model.objects.filter(expire_date__gt=timezone.now())
        found = live.filter(session_key=kept_as(self.session_key or "")).first()
        if found is None:
            self._session_key = None
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(kept_as(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = kept_as(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            self.model.objects.filter(session_key=kept_as(key)).delete()


def kept_as(session_key: str) -> str:
    """A plain hash is enough: 160 random bits cannot be guessed."""
    return hashlib.sha256(session_key.encode("utf-8", "replace")).hexdigest()[:KEPT_CHARACTERS]
