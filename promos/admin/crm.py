"""Settings of the connection to a CRM, with their test."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from loyalty.models import CrmIntegration, CrmMessage
from loyalty.staff import MANAGERS
from promos.crm import applying, integrations
from promos.crm.errors import MappingRefused, Unreadable
from promos.crm.trying import try_message
from promos.crm.vendors import VENDORS
from svoykrug.admin import ScopedAdmin
from svoykrug.encryption import encrypt
from svoykrug.history import moment

from .crm_form import CrmIntegrationForm
from .crm_messages import readable

Status = CrmMessage.Status
LONGEST_SAMPLE = 100_000


@admin.register(CrmIntegration)
class CrmIntegrationAdmin(ScopedAdmin):
    """One per business. The secret is shown when it is made and never again."""

    add_roles = change_roles = try_out_roles = new_secret_roles = replay_roles = MANAGERS
    programme_may = frozenset({"view", "add", "change", "try_out", "new_secret", "replay"})
    form = CrmIntegrationForm
    meaning = _(
        "How the shop's own CRM or till tells us of its sales: it sends them signed, or we ask it. "
        "Nothing it says is lost; what we could not read waits among the messages."
    )
    list_display = ("business", "system", "way", "is_active", "seen", "trouble")
    list_select_related = ("business",)
    ordering = ("business__name", "id")
    sortable_by = ()
    readonly_fields = ("send_to", "seen", "trouble", "refused", "token_words", "waiting")
    actions_detail = ("try_out", "new_secret", "replay")

    def get_fieldsets(self, request: HttpRequest, obj: CrmIntegration | None = None) -> Any:
        asked = (
            _("Only where we ask"),
            {"fields": ("base_url", "polling", "new_token", *(["token_words"] if obj else []))},
        )
        head = (None, {"fields": ("business", "provider", "is_active", "mapping")})
        if obj is None:
            return [head, asked]
        how = (_("How the connection does"), {"fields": ("send_to", "seen", "waiting", "trouble", "refused")})
        return [how, head, asked]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.readonly_fields, "business") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if token := form.cleaned_data.get("new_token"):
            obj.token = encrypt(token)
        if not change:
            # Only for this response: neither the database nor the session ever holds it.
            request.new_crm_secret = integrations.first_secret(obj)
            obj.next_poll_at = timezone.now() if obj.polling else None
            super().save_model(request, obj, form, change)
            return
        if "polling" in form.changed_data:
            before = form.initial.get("polling") or {}
            # A new beginning is meant; any other change goes on where it stood.
            if before.get("start") != obj.polling.get("start"):
                obj.cursor = {}
            obj.next_poll_at = timezone.now() if obj.polling else None
        # What the worker writes meanwhile stays.
        obj.save(
            update_fields=[
                "provider", "base_url", "mapping", "polling", "is_active", "updated_at",
                *(["token"] if form.cleaned_data.get("new_token") else []),
                *(["cursor", "next_poll_at"] if "polling" in form.changed_data else []),
            ]
        )  # fmt: skip

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_secret(request, obj, request.new_crm_secret)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        if kwargs.get("add"):
            # The secret is shown right after saving, so one button is enough.
            context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, **kwargs)

    # --- What staff do -----------------------------------------------------------------------------

    def _allowed(self, request: HttpRequest, deed: str, object_id: Any) -> bool:
        integration = self.get_object(request, str(object_id)) if object_id else None
        return self.may(request, deed, integration)

    def has_try_out_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "try_out", object_id)

    def has_new_secret_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "new_secret", object_id)

    def has_replay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._allowed(request, "replay", object_id)

    @action(description=_("Try a message"), icon="science")
    def try_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        integration = self.row_or_404(request, object_id)
        if not self.may(request, "try_out", integration):
            raise PermissionDenied
        sample, tried, trouble = request.POST.get("sample", "")[:LONGEST_SAMPLE], None, ""
        if request.method == "POST":
            try:
                tried = try_message(sample, integration)
            except MappingRefused as refused:
                trouble = refused.detail
            except Unreadable as unreadable:
                trouble = str(unreadable)
        else:
            latest = integration.messages.order_by("-id").first()
            sample = readable(bytes(latest.body)) if latest else ""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": gettext("Try a message"),
            "original": integration,
            "sample": sample,
            "tried": tried,
            "trouble": trouble,
            "back": self._address(integration),
        }
        return TemplateResponse(request, "admin/crm/try_out.html", context)

    @action(description=_("New secret"), icon="key")
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        integration = self.row_or_404(request, object_id)
        allowed = self.may(request, "new_secret", integration)
        if allowed and request.method == "POST":
            secret = integrations.change_secret(integration.pk, at=timezone.now())
            self.log_change(request, integration, gettext("New secret made"))
            return self._show_secret(request, integration, secret)
        return self.ask_and_do(
            request,
            integration,
            allowed=allowed,
            question=gettext("Make a new secret?"),
            consequence=gettext(
                "The old one is accepted for 24 hours more; put the new one into the sending system by then."
            ),
            button=gettext("Make a new secret"),
            deed=str,
        )

    @action(description=_("Apply failed ones again"), icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        integration = self.row_or_404(request, object_id)
        failed = CrmMessage.objects.filter(integration=integration, status=Status.FAILED)
        count = failed.count()

        def deed() -> str:
            done = applying.replay(failed, at=timezone.now())
            self.log_change(request, integration, gettext("Failed messages applied again"))
            return ngettext(
                "%(count)d message is being applied again.",
                "%(count)d messages are being applied again.",
                len(done),
            ) % {"count": len(done)}

        return self.ask_and_do(
            request,
            integration,
            allowed=self.may(request, "replay", integration),
            question=ngettext("Apply %(count)d message again?", "Apply %(count)d messages again?", count)
            % {"count": count},
            consequence=gettext(
                "They are read by the settings as they are now. What is recorded already stays recorded once."
            ),
            button=gettext("Apply again"),
            deed=deed,
        )

    def _show_secret(self, request: HttpRequest, integration: CrmIntegration, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": gettext("The connection is ready"),
            "secret": secret,
            "send_to": self._events_address(request, integration),
            "back": self._address(integration),
        }
        response = TemplateResponse(request, "admin/crm/secret.html", context)
        add_never_cache_headers(response)
        return response

    @staticmethod
    def _address(integration: CrmIntegration) -> str:
        return reverse("admin:loyalty_crmintegration_change", args=[integration.pk])

    @staticmethod
    def _events_address(request: HttpRequest, integration: CrmIntegration) -> str:
        return request.build_absolute_uri(f"/api/v1/crm/{integration.pk}/events")

    # --- Columns -----------------------------------------------------------------------------------

    @admin.display(description=_("sending system"))
    def system(self, integration: CrmIntegration) -> Any:
        vendor = VENDORS.get(integration.provider)
        return vendor.title if vendor else integration.provider

    @admin.display(description=_("how it comes"))
    def way(self, integration: CrmIntegration) -> str:
        return gettext("we ask") if integration.polling else gettext("it sends")

    @admin.display(description=_("send to"))
    def send_to(self, integration: CrmIntegration) -> str:
        return f"POST /api/v1/crm/{integration.pk}/events"

    @admin.display(description=_("last heard of"))
    def seen(self, integration: CrmIntegration) -> str:
        return moment(integration.last_seen_at) if integration.last_seen_at else gettext("nothing yet")

    @admin.display(description=_("last trouble"))
    def trouble(self, integration: CrmIntegration) -> str:
        return integration.last_error or "—"

    @admin.display(description=_("key kept"))
    def token_words(self, integration: CrmIntegration) -> str:
        return gettext("kept") if integration.token else gettext("none")

    @admin.display(description=_("messages that need you"))
    def waiting(self, integration: CrmIntegration) -> str:
        failed = CrmMessage.objects.filter(integration=integration, status=Status.FAILED).count()
        address = reverse("admin:loyalty_crmmessage_changelist") + f"?status__exact={Status.FAILED}"
        return format_html('<a href="{}">{}</a>', address, failed)

    @admin.display(description=_("refused in seven days"))
    def refused(self, integration: CrmIntegration) -> str:
        count = integrations.refused_lately(integration, at=timezone.now())
        if count is None:
            return "—"
        if not count:
            return "0"
        return gettext("%(count)d: the signature did not fit. Is the secret the right one?") % {
            "count": count
        }
