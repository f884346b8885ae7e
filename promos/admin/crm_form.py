"""The form of a CRM integration: the vendor, where in a message is what, and how to ask for messages."""

import json
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from loyalty.models import CrmIntegration
from promos.crm.errors import MappingRefused
from promos.crm.mapping import read_mapping
from promos.crm.questions import read_question
from promos.crm.vendors import OWN, VENDORS
from svoykrug.errors import DomainError
from svoykrug.outbound import Unreachable, target_of

LONGEST_TOKEN = 2000


class JSONArea(forms.JSONField):
    """JSON to be read by people: indented, its letters as they are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget(attrs={"rows": 16, "class": "font-mono"}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str | forms.fields.InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


class CrmIntegrationForm(forms.ModelForm):
    provider = forms.ChoiceField(
        label=_("Sending system"),
        choices=[(name, vendor.title) for name, vendor in VENDORS.items()],
        initial=OWN,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Leave the fields below empty to take what is ready for it."),
    )
    mapping = JSONArea(
        label=_("Where in a message is what"),
        required=False,
        help_text=_("JSON. What each field means stands in the guide for integrators."),
    )
    polling = JSONArea(
        label=_("How to ask for messages"),
        required=False,
        help_text=_("JSON, only for a system that sends nothing itself. Empty: it sends."),
    )
    new_token = forms.CharField(
        label=_("Key of that system"),
        required=False,
        max_length=LONGEST_TOKEN,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("What we ask with; it is never shown again. Empty: it stays as it is."),
    )

    class Meta:
        model = CrmIntegration
        fields = ("business", "provider", "base_url", "mapping", "polling", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A vendor that is no longer offered stays as it was named.
        kept = self.instance.provider
        field = self.fields.get("provider")
        if kept and field and kept not in VENDORS:
            field.choices = [*field.choices, (kept, kept)]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        given = self.cleaned_data
        vendor = VENDORS.get(given.get("provider", ""))
        if vendor and not self.instance.mapping and "mapping" in given and not given["mapping"]:
            given["mapping"] = vendor.mapping
            given["polling"] = given.get("polling") or vendor.polling
        given["polling"] = given.get("polling") or {}
        if "mapping" in given and "mapping" not in self.errors:
            self._check("mapping", lambda: read_mapping(given["mapping"], zone=ZoneInfo(settings.TIME_ZONE)))
        if given["polling"] and "polling" not in self.errors:
            self._check("polling", lambda: read_question(given["polling"]))
            if not given.get("base_url"):
                self.add_error("base_url", gettext("Say where that system is to be asked."))
        if given.get("base_url") and "base_url" not in self.errors:
            self._check("base_url", lambda: target_of(given["base_url"]))
        token = given.get("new_token", "")
        if token and not (token.isascii() and token.isprintable()):
            self.add_error("new_token", gettext("A key is made of Latin letters, digits and signs."))
        return cleaned

    def _check(self, field: str, read: Any) -> None:
        try:
            read()
        except (MappingRefused, DomainError) as refused:
            self.add_error(field, refused.detail)
        except Unreachable as trouble:
            self.add_error(field, str(trouble))
