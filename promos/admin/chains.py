"""Chains for the staff of both sides."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import ForeignKey, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from loyalty.models import Business
from loyalty.staff import MANAGERS, staff_scope
from promos.chain_page import chain_page
from promos.chain_terms import TERMS, differences, frozen, terms_of, warnings
from promos.models import CrossPromoChain
from promos.services import chains
from svoykrug.admin import ScopedAdmin
from svoykrug.errors import DomainError

Status, Side = CrossPromoChain.Status, CrossPromoChain.Side
SIDES = ("source_business", "target_business")


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
        chain, given = self.instance, self.cleaned_data
        source, target = (given.get(side) or _known(chain, side) for side in SIDES)
        # Of a form that is wrong in itself nothing more is said.
        if self.errors or not (source and target):
            return cleaned
        terms = {name: given.get(name, getattr(chain, name)) for name in TERMS}
        continued = given.get("continues", chain.continues)
        terms["continues_id"] = continued.pk if continued else None
        meant = CrossPromoChain(
            source_business=source, target_business=target, issued_count=chain.issued_count
        )
        for field, text in chains.all_faults(meant, terms).items():
            self.add_error(field if field in self.fields else None, text)
        if chain.status in chains.AGREED and not differences(frozen(terms_of(chain)), frozen(terms)):
            self.add_error(None, gettext("Nothing differs from the terms in force."))
        self.terms = terms
        return cleaned


def _known(chain: CrossPromoChain, side: str) -> Business | None:
    return getattr(chain, side) if getattr(chain, f"{side}_id") else None


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
    readonly_fields = ("status", "issued_count", "spent_rub", "accepted_at", "version")
    actions_detail = ("propose", "accept", "decline", "pause", "resume", "end")
    change_form_before_template = "admin/promos/chain_before.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "title",
                    "source_business",
                    "target_business",
                    "continues",
                    "status",
                    "version",
                    "accepted_at",
                )
            },
        ),
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
                    "budget_rub",
                    "spent_rub",
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

    def narrow(self, rows: QuerySet[Any], businesses: frozenset[UUID]) -> QuerySet[Any]:
        """A draft is its source's alone; once proposed it is both sides'."""
        proposed = Q(target_business__in=businesses) & ~Q(status=Status.DRAFT)
        return rows.filter(Q(source_business__in=businesses) | proposed)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A draft is written anew; of an agreed chain a change is proposed.
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or self._may(request, obj, "edit") or self._may(request, obj, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = () if obj is None or obj.status == Status.DRAFT else (*SIDES, "continues", "title")
        return (*self.readonly_fields, *fixed)

    def choices(self, db_field: ForeignKey[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        if db_field.name == "target_business":
            return Business.objects.filter(is_active=True, is_programme=False).order_by("name")
        if db_field.name == "continues":
            own = staff_scope(request.user).within(self.decide_roles)
            agreed = CrossPromoChain.objects.filter(status__in=chains.AGREED).select_related(*SIDES)
            return agreed if own is None else agreed.filter(target_business__in=own)
        return super().choices(db_field, request)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "target_business":
            kwargs["initial"] = None  # It is never the own business, which is what forms begin with.
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.status == Status.DRAFT:
            chains.save_draft(obj, by=request.user)
        else:
            try:
                chains.propose_change(obj.pk, form.terms, by=request.user, at=timezone.now())
            except DomainError as refusal:
                messages.error(request, refusal.detail)
                return
            text = gettext(
                "The change is proposed. Until “%(business)s” accepts, the agreed terms stay in force."
            )
            messages.info(request, text % {"business": obj.target_business.name})
        for field, warning in warnings(form.terms).items():
            label = CrossPromoChain._meta.get_field(field).verbose_name
            messages.warning(request, f"{capfirst(str(label))}: {warning}")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        chain = self.get_object(request, unquote(str(object_id)))
        told = chain_page(chain) if chain else {}
        return super().change_view(request, object_id, form_url, {**told, **(extra_context or {})})

    # --- What both sides decide ------------------------------------------------------------------

    def _steps(self, request: HttpRequest, chain: CrossPromoChain) -> frozenset[str]:
        """Return the steps that the person may take now; asked once for a request."""
        known: dict[UUID, frozenset[str]] = request.__dict__.setdefault("_chain_steps", {})
        if chain.pk not in known:
            sides, waiting = chains.sides_of(request.user, chain), chains.waiting_version(chain) is not None
            known[chain.pk] = frozenset(
                step for step in chains.STEPS if not chains.refusal(step, chain, sides, waiting=waiting)
            )
        return known[chain.pk]

    def _may(self, request: HttpRequest, chain: CrossPromoChain, step: str) -> bool:
        return step in self._steps(request, chain)

    def _offered(self, request: HttpRequest, object_id: Any, step: str) -> bool:
        chain = self.get_object(request, str(object_id)) if object_id else None
        return bool(chain and self._may(request, chain, step))

    def has_propose_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "propose")

    def has_accept_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "accept")

    def has_decline_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "decline")

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "pause")

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "resume")

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._offered(request, object_id, "end")

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        sides: Collection[str],
        step: Callable[[CrossPromoChain], object],
        question: str,
        consequence: str,
        button: str,
        done: str,
        note: str,
        reason_label: str = "",
    ) -> HttpResponse:
        """Ask, take the step and say so. Texts may name %(source)s and %(target)s."""
        chain = self.row_or_404(request, object_id)
        names = {"source": chain.source_business.name, "target": chain.target_business.name}

        def deed() -> str:
            step(chain)
            self.log_change(request, chain, note)
            return done % names

        return self.ask_and_do(
            request,
            chain,
            allowed=bool({*sides, Side.PROGRAMME} & chains.sides_of(request.user, chain)),
            question=question % names,
            consequence=consequence % names,
            button=button,
            deed=deed,
            reason_label=reason_label,
            longest_reason=chains.LONGEST_REASON,
        )

    @action(description=_("Propose"), icon="send")
    def propose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            sides=chains.SOURCE,
            step=lambda chain: chains.propose(chain.pk, by=request.user, at=timezone.now()),
            question=gettext("Propose the chain to “%(target)s”?"),
            consequence=gettext("These terms are what they answer. The chain runs once they accept it."),
            button=gettext("Propose"),
            done=gettext("“%(target)s” will see the proposal among its chains."),
            note=gettext("Proposed"),
        )

    @action(description=_("Accept"), icon="handshake")
    def accept(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            sides=chains.TARGET,
            step=lambda chain: chains.accept(chain.pk, by=request.user, at=timezone.now()),
            question=gettext("Accept the terms?"),
            consequence=gettext(
                "Purchases at “%(source)s” from now on bring coupons that “%(target)s” will honour."
            ),
            button=gettext("Accept"),
            done=gettext("The terms are in force."),
            note=gettext("Accepted"),
        )

    @action(description=_("Decline"), icon="thumb_down")
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        reason = request.POST.get("reason", "")
        return self._ask(
            request,
            object_id,
            sides=chains.TARGET,
            step=lambda chain: chains.decline(chain.pk, reason=reason, by=request.user, at=timezone.now()),
            question=gettext("Decline the terms?"),
            consequence=gettext(
                "What was agreed before stays in force. “%(source)s” can propose other terms."
            ),
            button=gettext("Decline"),
            done=gettext("“%(source)s” will read why."),
            note=gettext("Declined: %(reason)s") % {"reason": reason},
            reason_label=gettext("Why? The other side will read it."),
        )

    @action(description=_("Pause"), icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            sides=chains.EITHER,
            step=lambda chain: chains.pause(chain.pk, by=request.user),
            question=gettext("Pause the chain?"),
            consequence=gettext("New coupons stop; those already given stay valid. Your side can resume it."),
            button=gettext("Pause"),
            done=gettext("The chain is paused."),
            note=gettext("Paused"),
        )

    @action(description=_("Resume"), icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            sides=chains.EITHER,
            step=lambda chain: chains.resume(chain.pk, by=request.user, at=timezone.now()),
            question=gettext("Resume the chain?"),
            consequence=gettext("It runs again on the agreed terms, for purchases from now on."),
            button=gettext("Resume"),
            done=gettext("The chain is running."),
            note=gettext("Resumed"),
        )

    @action(description=_("End"), icon="stop")
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            sides=chains.EITHER,
            step=lambda chain: chains.end(chain.pk, by=request.user),
            question=gettext("End the chain for good?"),
            consequence=gettext("New coupons stop; those already given stay valid. This cannot be undone."),
            button=gettext("End it"),
            done=gettext("The chain has ended."),
            note=gettext("Ended"),
        )
