"""What was sent to webhooks, how it was answered, and sending it again."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.decorators import display as label_display

from loyalty.admin.webhooks import short
from loyalty.models import WebhookDelivery, WebhookEndpoint
from loyalty.services.webhooks.endpoints import redeliver
from loyalty.staff import MANAGERS
from svoykrug.admin import UncountedAdmin
from svoykrug.history import moment

DeliveryStatus = WebhookDelivery.Status
LABELS = {
    str(DeliveryStatus.PENDING): "info",
    str(DeliveryStatus.DELIVERED): "success",
    str(DeliveryStatus.FAILED): "danger",
}
MOST_RESENT = 1000


class OfWebhook(admin.SimpleListFilter):
    """Deliveries of one webhook, chosen among those that the person may see."""

    title = _("webhook")
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        own = admin.site._registry[WebhookEndpoint].get_queryset(request)
        return [(str(pk), url) for pk, url in own.order_by("url").values_list("pk", "url")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = {value for value, _title in self.lookup_choices}
        if self.value() is None:
            return queryset
        return queryset.filter(endpoint=self.value()) if self.value() in known else queryset.none()


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(UncountedAdmin):
    business_paths = ("endpoint__business",)
    resend_roles = MANAGERS
    programme_may = frozenset({"view", "resend"})
    meaning = _("What was sent to webhooks in the last month, and how it was answered.")
    list_display = ("came", "kind", "state", "attempts", "answer_status", "where_shortly", "shop")
    list_display_links = ("came",)
    list_select_related = ("event", "endpoint__business")
    list_filter = ("status", OfWebhook)
    sortable_by = ()
    actions = ("resend_marked",)
    actions_detail = ("resend",)
    fields = readonly_fields = (
        "state_words", "answer_status", "answer_words", "attempts", "next_try", "arrived", "came",
        "kind", "number", "where", "shop", "said",
    )  # fmt: skip

    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        delivery = self.get_object(request, str(object_id)) if object_id else None
        return self.may(request, "resend", delivery)

    @action(description=_("Send again"), icon="replay")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = self.row_or_404(request, object_id)

        def deed() -> str:
            redeliver(delivery.pk, at=timezone.now())
            self.log_change(request, delivery, gettext("Sent again"))
            return gettext("It is being sent again. This page shows what comes of it.")

        return self.ask_and_do(
            request,
            delivery,
            allowed=self.has_resend_permission(request, object_id),
            question=gettext("Send the event again?"),
            consequence=gettext(
                "It goes out under the same id, so the receiver knows it; to a webhook that is switched off "
                "once that is resumed."
            ),
            button=gettext("Send again"),
            deed=deed,
        )

    @admin.action(description=_("Send again"), permissions=["resend"])
    def resend_marked(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        marked = list(queryset.order_by("id").values_list("pk", flat=True)[:MOST_RESENT])
        for pk in marked:
            redeliver(pk, at=timezone.now())
        said = ngettext(
            "%(count)d event is being sent again.", "%(count)d events are being sent again.", len(marked)
        )
        self.message_user(request, said % {"count": len(marked)})

    # --- Columns -----------------------------------------------------------------------------------

    @label_display(description=_("status"), label=LABELS)
    def state(self, delivery: WebhookDelivery) -> tuple[str, str]:
        return delivery.status, delivery.get_status_display()

    @admin.display(description=_("status"))
    def state_words(self, delivery: WebhookDelivery) -> str:
        return delivery.get_status_display()

    @admin.display(description=_("happened"))
    def came(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.event.created_at)

    @admin.display(description=_("event"))
    def kind(self, delivery: WebhookDelivery) -> str:
        return f"{delivery.event.get_type_display()} · {delivery.event.type}"

    @admin.display(description=_("number of the event"))
    def number(self, delivery: WebhookDelivery) -> str:
        return format_html('<span style="overflow-wrap: anywhere">{}</span>', delivery.event_id)

    @admin.display(description=_("webhook"))
    def where(self, delivery: WebhookDelivery) -> str:
        address = reverse("admin:loyalty_webhookendpoint_change", args=[delivery.endpoint_id])
        return format_html(
            '<a style="overflow-wrap: anywhere" href="{}">{}</a>', address, delivery.endpoint.url
        )

    @admin.display(description=_("webhook"))
    def where_shortly(self, delivery: WebhookDelivery) -> str:
        return short(delivery.endpoint.url)

    @admin.display(description=_("business"))
    def shop(self, delivery: WebhookDelivery) -> str:
        return str(delivery.endpoint.business)

    @admin.display(description=_("next try"))
    def next_try(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.next_attempt_at) if delivery.status == DeliveryStatus.PENDING else "—"

    @admin.display(description=_("delivered"))
    def arrived(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.delivered_at) if delivery.delivered_at else "—"

    @admin.display(description=_("answer"))
    def answer_words(self, delivery: WebhookDelivery) -> str:
        return delivery.answer or "—"

    @admin.display(description=_("what was sent"))
    def said(self, delivery: WebhookDelivery) -> str:
        return format_html(
            '<pre class="font-mono text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>',
            json.dumps(delivery.event.data, ensure_ascii=False, indent=2),
        )
