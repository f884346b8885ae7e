"""API keys: made once, shown once, revoked for good."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from loyalty.models import ApiKey
from loyalty.selectors import members_of
from loyalty.services.api_keys import DEFAULT_SCOPES, create_api_key, revoke_api_key
from loyalty.staff import OWNERS
from promos.services.sandbox import create_test_key
from svoykrug.admin import ScopedAdmin


class ApiKeyForm(forms.ModelForm):
    label = forms.CharField(
        max_length=80,
        label=_("What for"),
        widget=UnfoldAdminTextInputWidget,
        help_text=_("For example: till at the door."),
    )
    test = forms.BooleanField(
        label=_("For tests"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_(
            "The key acts on a sandbox: a copy of the business with members of its own. Nothing it does "
            "reaches real members, bonuses, settlement, messages or reports."
        ),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Allowed to"),
        choices=ApiKey.Scope,
        initial=[str(scope) for scope in DEFAULT_SCOPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiKey
        fields = ("business", "label", "test", "scopes")


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin):
    view_roles = add_roles = revoke_roles = OWNERS
    programme_may = frozenset({"view", "add", "revoke"})
    meaning = _("What a till or a CRM calls us with. One key for each till: then one can be revoked alone.")
    list_display = ("label", "prefix", "business", "works_on", "scope_words", "last_used_at", "revoked_at")
    list_select_related = ("business",)
    ordering = ("-id",)
    actions_detail = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display if obj else ("business", "label", "test", "scopes")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = ApiKeyForm
        return super().get_form(request, obj, change=change, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        # The key is shown right after saving, so one button is enough.
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = {"business": obj.business, "scopes": obj.scopes, "label": obj.label}
        if form.cleaned_data["test"]:
            key, secret = create_test_key(**given, at=timezone.now())
        else:
            key, secret = create_api_key(**given)
        obj.sandbox = key.sandbox
        obj.pk, obj.prefix, obj._state.adding = key.pk, key.prefix, False
        # Only for this response: neither the database nor the session ever holds it.
        request.new_api_key = secret

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": gettext("The key is ready"),
            "secret": request.new_api_key,
            "members": members_of(obj.sandbox).select_related("status_tier").order_by("phone")
            if obj.sandbox
            else (),
            "back": reverse("admin:loyalty_apikey_changelist"),
        }
        response = TemplateResponse(request, "admin/api_key_created.html", context)
        add_never_cache_headers(response)
        return response

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        key = self.get_object(request, str(object_id)) if object_id else None
        return self.may(request, "revoke", key) and (key is None or key.revoked_at is None)

    @action(description=_("Revoke"), icon="key_off")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row_or_404(request, object_id)

        def deed() -> str:
            revoke_api_key(key, at=timezone.now())
            self.log_change(request, key, gettext("Revoked"))
            return gettext("The key no longer works.")

        return self.ask_and_do(
            request,
            key,
            allowed=self.may(request, "revoke", key),
            question=gettext("Revoke the key?"),
            consequence=gettext("Whatever calls us with it is refused at once, for good."),
            button=gettext("Revoke"),
            deed=deed,
        )

    @admin.display(description=_("works on"), ordering="sandbox")
    def works_on(self, key: ApiKey) -> str:
        return gettext("sandbox") if key.sandbox_id else gettext("real business")

    @admin.display(description=_("allowed to"))
    def scope_words(self, key: ApiKey) -> str:
        words = dict(ApiKey.Scope.choices)
        return ", ".join(str(words.get(scope, scope)) for scope in key.scopes)
