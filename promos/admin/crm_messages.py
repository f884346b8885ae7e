"""What CRMs and tills sent, word for word, and what came of it."""

import json
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError
from unfold.decorators import action
from unfold.decorators import display as label_display

from loyalty.models import CrmMessage
from loyalty.staff import MANAGERS
from promos.crm import applying
from promos.tasks import apply_crm_message
from svoykrug.admin import ReadOnlyAdmin
from svoykrug.history import moment

Status = CrmMessage.Status
LABELS = {
    Status.RECEIVED: "info",
    Status.APPLIED: "success",
    Status.DUPLICATE: "info",
    Status.PARKED: "warning",
    Status.SKIPPED: "info",
    Status.FAILED: "danger",
}
MOST_REPLAYED = 1000
SHOWN_CHARACTERS = 20_000


@admin.register(CrmMessage)
class CrmMessageAdmin(ReadOnlyAdmin):
    business_paths = ("integration__business",)
    replay_roles = MANAGERS
    programme_may = frozenset({"view", "replay"})
    meaning = _(
        "What CRMs and tills told us, and what came of it. A message that needs you says what to mend; "
        "apply it again afterwards."
    )
    list_display = ("came", "state", "receipts", "shop", "short_error")
    list_display_links = ("came",)
    list_select_related = ("integration__business",)
    list_filter = ("status",)
    search_fields = ("reference",)
    search_help_text = _("Number of a receipt.")
    ordering = ("-id",)
    sortable_by = ()
    actions = ("replay_marked",)
    actions_detail = ("replay",)
    fields = readonly_fields = (
        "state_words", "error_words", "came", "shop", "outcome", "attempts", "next_try", "said",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CrmMessage]:
        return super().get_queryset(request).select_related("integration__business")

    # --- What staff do -----------------------------------------------------------------------------

    def has_replay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        message = self.get_object(request, str(object_id)) if object_id else None
        return self.may(request, "replay", message)

    @action(description=_("Apply again"), icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        message = self.row_or_404(request, object_id)

        def deed() -> str:
            self._replay(CrmMessage.objects.filter(pk=message.pk))
            self.log_change(request, message, gettext("Applied again"))
            return gettext("It is being applied again. This page shows what comes of it.")

        return self.ask_and_do(
            request,
            message,
            allowed=self.may(request, "replay", message),
            question=gettext("Apply the message again?"),
            consequence=gettext(
                "It is read by the settings as they are now. What is recorded already stays recorded once."
            ),
            button=gettext("Apply again"),
            deed=deed,
        )

    @admin.action(description=_("Apply again"), permissions=["replay"])
    def replay_marked(self, request: HttpRequest, queryset: QuerySet[CrmMessage]) -> None:
        marked = CrmMessage.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)[:MOST_REPLAYED]))
        count = self._replay(marked)
        self.message_user(
            request,
            ngettext(
                "%(count)d message is being applied again.",
                "%(count)d messages are being applied again.",
                count,
            )
            % {"count": count},
        )

    @staticmethod
    def _replay(messages: QuerySet[CrmMessage]) -> int:
        message_ids = applying.replay(messages, at=timezone.now())
        # Without Redis the schedule takes them up.
        with suppress(OperationalError):
            for message_id in message_ids:
                apply_crm_message.delay_on_commit(str(message_id))
        return len(message_ids)

    # --- Columns -----------------------------------------------------------------------------------

    @label_display(description=_("status"), label={str(status): label for status, label in LABELS.items()})
    def state(self, message: CrmMessage) -> tuple[str, str]:
        return message.status, message.get_status_display()

    @admin.display(description=_("status"))
    def state_words(self, message: CrmMessage) -> str:
        return message.get_status_display()

    @admin.display(description=_("what to do"))
    def error_words(self, message: CrmMessage) -> str:
        return message.error or "—"

    @admin.display(description=_("what to do"))
    def short_error(self, message: CrmMessage) -> str:
        return message.error if len(message.error) <= 120 else message.error[:119] + "…"

    @admin.display(description=_("came"))
    def came(self, message: CrmMessage) -> str:
        return moment(message.created_at)

    @admin.display(description=_("business"))
    def shop(self, message: CrmMessage) -> str:
        return str(message.integration.business)

    @admin.display(description=_("receipts"))
    def receipts(self, message: CrmMessage) -> str:
        return message.reference if len(message.reference) <= 40 else message.reference[:39] + "…"

    @admin.display(description=_("next try"))
    def next_try(self, message: CrmMessage) -> str:
        return moment(message.next_attempt_at) if message.next_attempt_at else "—"

    @admin.display(description=_("what came of it"))
    def outcome(self, message: CrmMessage) -> str:
        return (
            format_html_join("", "<div>{} · {}{}</div>", (_told(result) for result in message.results)) or "—"
        )

    @admin.display(description=_("what it said"))
    def said(self, message: CrmMessage) -> str:
        return format_html(
            '<pre class="font-mono text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>',
            readable(bytes(message.body)),
        )


RESULT_WORDS = {
    "created": _("recorded"),
    "duplicate": _("known already"),
    "parked": _("waits for its purchase"),
    "skipped": _("left out"),
    "rejected": _("refused"),
}


def _told(result: dict[str, Any]) -> tuple[Any, Any, Any]:
    name = result.get("external_id") or "—"
    if result.get("transaction"):
        address = reverse("admin:loyalty_transaction_change", args=[result["transaction"]])
        name = format_html('<a href="{}">{}</a>', address, name)
    detail = f": {result['detail']}" if result.get("detail") else ""
    return name, RESULT_WORDS.get(result.get("status", ""), result.get("status", "")), detail


def readable(body: bytes) -> str:
    """Return a message as people read it: JSON indented, anything else as it stands."""
    text = body[:SHOWN_CHARACTERS].decode("utf-8", "replace")
    if len(body) > SHOWN_CHARACTERS:
        return text + "…"
    try:
        return json.dumps(json.loads(text.removeprefix("\ufeff")), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
