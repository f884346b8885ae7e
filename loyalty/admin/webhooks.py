"""Webhooks: where a business's own systems are told what happens."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.decorators import display as label_display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from loyalty.models import WebhookEndpoint, WebhookEvent
from loyalty.services.webhooks import endpoints
from loyalty.staff import MANAGERS
from svoykrug.admin import ScopedAdmin
from svoykrug.errors import DomainError
from svoykrug.history import moment
from svoykrug.outbound import AddressRefused, Unreachable, target_of

Status = WebhookEndpoint.Status
ENDPOINT_LABELS = {
    str(Status.ACTIVE): "success", str(Status.PAUSED): "warning", str(Status.FAILING): "danger",
}  # fmt: skip


class WebhookEndpointForm(forms.ModelForm):
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("https:// and a public address. We send a POST to it for each event."),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(kind.value, kind.label) for kind in WebhookEvent.Type if kind in endpoints.ASKED_FOR],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("business", "url", "description", "events")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target_of(url)
        except (AddressRefused, Unreachable) as trouble:
            raise forms.ValidationError(str(trouble)) from trouble
        return url


def short(url: str) -> str:
    """Return as much of an address as a telephone's screen has room for beside a label."""
    return Truncator(url.partition("://")[2]).chars(28)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ScopedAdmin):
    """The secret is shown when it is made and never again."""

    view_roles = add_roles = change_roles = MANAGERS
    ping_roles = new_secret_roles = pause_roles = resume_roles = remove_roles = MANAGERS
    programme_may = frozenset(
        {"view", "add", "change", "ping", "new_secret", "pause", "resume", "remove"}
    )  # fmt: skip
    form = WebhookEndpointForm
    meaning = _(
        "Addresses of the shop's own systems that are told of purchases, coupons and the rest as they "
        "happen. Three days without success switch one off."
    )
    list_display = ("address", "business", "state", "description", "succeeded", "failing")
    list_select_related = ("business",)
    ordering = ("business__name", "id")
    sortable_by = ()
    readonly_fields = ("state_words", "succeeded", "failing", "log")
    actions_detail = ("ping", "new_secret", "pause", "resume", "remove")

    def get_fieldsets(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        head = (None, {"fields": ("business", "url", "description", "events")})
        if obj is None:
            return [head]
        return [(_("How the webhook does"), {"fields": self.readonly_fields}), head]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.readonly_fields, "business") if obj else self.readonly_fields

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        said = {name: form.cleaned_data[name] for name in ("url", "description", "events")}
        if change:
            endpoints.change_endpoint(obj.pk, **said)
            return
        made, secret = endpoints.add_endpoint(business=obj.business, **said)
        obj.pk, obj._state.adding = made.pk, False
        # Only for this response: neither the database nor the session ever holds it.
        request.new_webhook_secret = secret

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_secret(request, obj, request.new_webhook_secret)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        if kwargs.get("add"):
            # The secret is shown right after saving, so one button is enough.
            context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, **kwargs)

    # --- What staff do -----------------------------------------------------------------------------

    def _allowed(self, request: HttpRequest, deed: str, object_id: Any, *when: Status) -> bool:
        endpoint = self.get_object(request, str(object_id)) if object_id else None
        return self.may(request, deed, endpoint) and (
            endpoint is None or not when or endpoint.status in when
        )  # fmt: skip

    def has_ping_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "ping", object_id, Status.ACTIVE)

    def has_new_secret_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "new_secret", object_id)

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "pause", object_id, Status.ACTIVE)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "resume", object_id, Status.PAUSED, Status.FAILING)

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "remove", object_id)

    @action(description=_("Send a test event"), icon="send")
    def ping(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row_or_404(request, object_id)

        def deed() -> str:
            endpoints.ping(endpoint, at=timezone.now())
            self.log_change(request, endpoint, gettext("Test event sent"))
            return gettext("The test event is on its way. The deliveries show what comes of it.")

        return self.ask_and_do(
            request,
            endpoint,
            allowed=self.has_ping_permission(request, object_id),
            question=gettext("Send a test event?"),
            consequence=gettext("The address gets an event test.ping, signed like every other."),
            button=gettext("Send"),
            deed=deed,
        )

    @action(description=_("New secret"), icon="key")
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row_or_404(request, object_id)
        allowed = self.has_new_secret_permission(request, object_id)
        if allowed and request.method == "POST":
            secret = endpoints.change_secret(endpoint.pk, at=timezone.now())
            self.log_change(request, endpoint, gettext("New secret made"))
            return self._show_secret(request, endpoint, secret)
        return self.ask_and_do(
            request,
            endpoint,
            allowed=allowed,
            question=gettext("Make a new secret?"),
            consequence=gettext(
                "For 24 hours both secrets sign; put the new one into the receiving system by then."
            ),
            button=gettext("Make a new secret"),
            deed=str,
        )

    @action(description=_("Pause"), icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row_or_404(request, object_id)

        def deed() -> str:
            endpoints.pause(endpoint.pk)
            self.log_change(request, endpoint, gettext("Paused"))
            return gettext("Nothing is sent there until you resume.")

        return self.ask_and_do(
            request,
            endpoint,
            allowed=self.has_pause_permission(request, object_id),
            question=gettext("Pause the webhook?"),
            consequence=gettext("Nothing is sent there until you resume; what happens meanwhile is kept."),
            button=gettext("Pause"),
            deed=deed,
        )

    @action(description=_("Resume"), icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row_or_404(request, object_id)

        def deed() -> str:
            missed_since = endpoint.last_success_at or endpoint.created_at
            endpoints.resume(endpoint.pk, missed_since=missed_since, at=timezone.now())
            self.log_change(request, endpoint, gettext("Resumed"))
            return gettext("The webhook works again; what it missed is being sent.")

        return self.ask_and_do(
            request,
            endpoint,
            allowed=self.has_resume_permission(request, object_id),
            question=gettext("Resume the webhook?"),
            consequence=gettext("What it missed since its last success is sent first, each event once."),
            button=gettext("Resume"),
            deed=deed,
        )

    @action(description=_("Remove"), icon="delete")
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.row_or_404(request, object_id)
        pk = endpoint.pk

        def deed() -> str:
            self.log_deletions(request, [endpoint])
            endpoints.remove_endpoint(pk)
            return gettext("The webhook is removed.")

        response = self.ask_and_do(
            request,
            endpoint,
            allowed=self.has_remove_permission(request, object_id),
            question=gettext("Remove the webhook?"),
            consequence=gettext("Nothing is sent there any more, and its deliveries are forgotten."),
            button=gettext("Remove"),
            deed=deed,
        )
        if request.method == "POST":
            return HttpResponseRedirect(reverse("admin:loyalty_webhookendpoint_changelist"))
        return response

    def _show_secret(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": gettext("The webhook is ready"),
            "secret": secret,
            "url": endpoint.url,
            "back": reverse("admin:loyalty_webhookendpoint_change", args=[endpoint.pk]),
        }
        response = TemplateResponse(request, "admin/webhook_secret.html", context)
        add_never_cache_headers(response)
        return response

    # --- Columns -----------------------------------------------------------------------------------

    @admin.display(description=_("address"))
    def address(self, endpoint: WebhookEndpoint) -> str:
        return short(endpoint.url)

    @label_display(description=_("status"), label=ENDPOINT_LABELS)
    def state(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        return endpoint.status, endpoint.get_status_display()

    @admin.display(description=_("status"))
    def state_words(self, endpoint: WebhookEndpoint) -> str:
        return endpoint.get_status_display()

    @admin.display(description=_("last success"))
    def succeeded(self, endpoint: WebhookEndpoint) -> str:
        return moment(endpoint.last_success_at) if endpoint.last_success_at else gettext("nothing yet")

    @admin.display(description=_("no success since"))
    def failing(self, endpoint: WebhookEndpoint) -> str:
        return moment(endpoint.failing_since) if endpoint.failing_since else "—"

    @admin.display(description=_("deliveries"))
    def log(self, endpoint: WebhookEndpoint) -> str:
        address = reverse("admin:loyalty_webhookdelivery_changelist") + "?webhook="
        return format_html('<a href="{}{}">{}</a>', address, endpoint.pk, gettext("What was sent there"))
