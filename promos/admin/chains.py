"""Chains for the staff of both sides."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from loyalty.models import Business
from promos.models import CrossPromoChain
from promos.services import chains
from svoykrug.admin import MANAGERS, ScopedAdmin, staff_scope

Status = CrossPromoChain.Status


class ChainForm(forms.ModelForm):
    trigger_weekdays = forms.TypedMultipleChoiceField(
        label=_("Weekdays"),
        choices=[(number + 1, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None marked: any day."),
    )
    trigger_tiers = forms.TypedMultipleChoiceField(
        label=_("Tiers"),
        choices=[(level, str(level)) for level in range(1, 5)],
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None marked: any tier."),
    )
    trigger_categories = SimpleArrayField(
        forms.CharField(max_length=200),
        label=_("Categories"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("As the till names them, separated by commas. Empty: any."),
    )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        source, target = self.cleaned_data.get("source_business"), self.cleaned_data.get("target_business")
        if source and source == target:
            self.add_error("target_business", gettext("A chain leads to another business."))
        return cleaned


@admin.register(CrossPromoChain)
class CrossPromoChainAdmin(ScopedAdmin):
    """The source drafts and proposes, the target accepts, either pauses."""

    business_paths = ("source_business", "target_business")
    change_paths = ("source_business",)
    add_roles = change_roles = decide_roles = MANAGERS
    programme_may = frozenset({"view", "add", "change", "decide"})
    form = ChainForm
    meaning = _(
        "A chain: a purchase at one business brings a coupon for another. It runs once both have agreed."
    )
    list_display = ("__str__", "source_business", "target_business", "status", "issued_count", "total_limit")
    list_select_related = ("source_business", "target_business")
    list_filter = ("status",)
    search_fields = ("title",)
    ordering = ("-id",)
    readonly_fields = ("status", "issued_count", "accepted_at")
    actions_detail = ("propose", "accept", "pause")
    fieldsets = (
        (None, {"fields": ("title", "source_business", "target_business", "status", "accepted_at")}),
        (
            _("A coupon comes after a purchase"),
            {
                "fields": (
                    "trigger_min_amount",
                    "trigger_categories",
                    "trigger_tiers",
                    "trigger_weekdays",
                    "trigger_first_purchase",
                    "exclude_target_customers_days",
                )
            },
        ),
        (
            _("The coupon"),
            {
                "fields": (
                    "coupon_benefit",
                    "coupon_value",
                    "coupon_text",
                    "coupon_min_amount",
                    "coupon_valid_days",
                    "delay_hours",
                )
            },
        ),
        (
            _("Limits and fairness"),
            {
                "fields": (
                    "total_limit",
                    "daily_limit",
                    "issued_count",
                    "discount_share_percent",
                    "holdout_percent",
                    "attribution_days",
                )
            },
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Terms that were offered to the other side do not change under its eyes.
        return super().has_change_permission(request, obj) and (obj is None or obj.status == Status.DRAFT)

    def choices(self, db_field: ForeignKey[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        if db_field.name == "target_business":
            return Business.objects.filter(is_active=True, is_programme=False).order_by("name")
        return super().choices(db_field, request)

    # --- What both sides decide ------------------------------------------------------------------

    def _decides(self, request: HttpRequest, chain: CrossPromoChain, *sides: Any) -> bool:
        own = staff_scope(request.user).within(self.decide_roles)
        return own is None or any(side in own for side in sides)

    def _offered(self, request: HttpRequest, object_id: Any, statuses: tuple[str, ...], *sides: str) -> bool:
        chain = self.get_object(request, str(object_id)) if object_id else None
        return bool(
            chain
            and chain.status in statuses
            and self._decides(request, chain, *(getattr(chain, f"{side}_business_id") for side in sides))
        )

    def has_propose_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, (Status.DRAFT,), "source")

    def has_accept_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, (Status.PROPOSED, Status.PAUSED), "target")

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, (Status.ACTIVE,), "source", "target")

    @action(description=_("Propose"), icon="send")
    def propose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chain = self.row_or_404(request, object_id)
        target = chain.target_business.name

        def deed() -> str:
            chains.propose(chain.pk, by=request.user, at=timezone.now())
            self.log_change(request, chain, gettext("Proposed"))
            return gettext("“%(business)s” will see the proposal among its chains.") % {"business": target}

        return self.ask_and_do(
            request,
            chain,
            allowed=self._decides(request, chain, chain.source_business_id),
            question=gettext("Propose the chain to “%(business)s”?") % {"business": target},
            consequence=gettext("The terms can no longer be changed. The chain runs once they accept it."),
            button=gettext("Propose"),
            deed=deed,
        )

    @action(description=_("Accept"), icon="handshake")
    def accept(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chain = self.row_or_404(request, object_id)

        def deed() -> str:
            chains.accept(chain.pk, by=request.user, at=timezone.now())
            self.log_change(request, chain, gettext("Accepted"))
            return gettext("The chain is running.")

        return self.ask_and_do(
            request,
            chain,
            allowed=self._decides(request, chain, chain.target_business_id),
            question=gettext("Accept the chain?"),
            consequence=gettext("Purchases at “%(business)s” from now on bring coupons that you will honour.")
            % {"business": chain.source_business.name},
            button=gettext("Accept"),
            deed=deed,
        )

    @action(description=_("Pause"), icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chain = self.row_or_404(request, object_id)

        def deed() -> str:
            chains.pause(chain.pk, by=request.user)
            self.log_change(request, chain, gettext("Paused"))
            return gettext("The chain is paused.")

        return self.ask_and_do(
            request,
            chain,
            allowed=self._decides(request, chain, chain.source_business_id, chain.target_business_id),
            question=gettext("Pause the chain?"),
            consequence=gettext(
                "New coupons stop; those already given stay valid. The target can resume it."
            ),
            button=gettext("Pause"),
            deed=deed,
        )
