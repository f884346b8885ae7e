"""Businesses and tiers."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.models import Business, StatusTier
from loyalty.services.sandbox import keep_alike
from loyalty.staff import NOBODY, OWNERS, staff_scope
from svoykrug.admin import ScopedAdmin


class BusinessForm(forms.ModelForm):
    no_earn_categories = SimpleArrayField(
        forms.CharField(max_length=200),
        label=_("Categories that earn nothing"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_(
            "As the till names them, in any case, separated by commas: tobacco, gift cards. A purchase or "
            "line of such a category brings no bonuses; bonuses may still pay for it."
        ),
    )


@admin.register(Business)
class BusinessAdmin(ScopedAdmin):
    """The owner edits what customers read; terms of money are the programme's."""

    business_paths = ("pk",)
    change_roles = OWNERS
    form = BusinessForm
    meaning = _("A business of the circle: what customers read about it and on what terms it takes part.")
    list_display = ("name", "code", "category", "is_active", "can_accrue", "can_redeem")
    search_fields = ("name", "code__exact")
    ordering = ("name",)
    soft_fields = ("name", "category", "address", "phone", "logo")
    fieldsets = (
        (_("For customers"), {"fields": soft_fields}),
        (_("Legal"), {"fields": ("legal_name", "inn")}),
        (
            _("Terms"),
            {
                "fields": (
                    "code",
                    "is_active",
                    "can_accrue",
                    "can_redeem",
                    "point_price_rub",
                    "redemption_cap_percent",
                    "pending_days",
                    "no_earn_categories",
                    "requires_presence_code",
                    "credit_limit_rub",
                    "stops_accrual_over_limit",
                )
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        keep_alike(obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if staff_scope(request.user).is_programme:
            # Tills and files name the business by its code.
            return ("code",) if obj else ()
        return [name for _title, options in self.fieldsets for name in options["fields"]
                if name not in self.soft_fields]  # fmt: skip


@admin.register(StatusTier)
class StatusTierAdmin(ScopedAdmin):
    view_roles = NOBODY
    programme_may = frozenset({"view", "change"})
    meaning = _("What a level of yearly turnover gives. A change works from the next purchase on.")
    list_display = ("level", "name", "name_en", "threshold_rub", "accrual_percent", "redemption_cap_percent")
    list_display_links = ("level", "name")
    ordering = ("level",)
    readonly_fields = ("level",)
