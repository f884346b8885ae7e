"""Offers: their owners build them, try them on real purchases, and put them in force."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import get_language, gettext, override
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from loyalty.staff import MANAGERS
from loyalty.templatetags.money import bonus
from promos.models import Offer
from promos.offers.facts import warnings
from promos.offers.rules import parse
from promos.offers.simulation import PERIODS_DAYS
from promos.offers.words import limit_words, sentence
from promos.services import offers
from promos.services.offers import OfferRefused
from svoykrug.admin import ScopedAdmin

from .offer_form import EFFECT_FIELDS, OfferForm
from .offer_pages import simulation_page, version_rows

Status = Offer.Status
LANGUAGES = ("ru", "en")


@admin.register(Offer)
class OfferAdmin(ScopedAdmin):
    """Owners and managers build offers of their own businesses; what is published stays as it was."""

    add_roles = change_roles = MANAGERS
    form = OfferForm
    change_form_before_template = "admin/offers/before_form.html"
    meaning = _("What a purchase brings beyond its tier: when, for whom, how much, and till the budget ends.")

    class Media:
        css = {"all": ["admin-reports/reports.css"]}

    list_display = ("title", "business", "status", "in_words", "meter", "uses_count")
    list_select_related = ("business",)
    list_filter = ("status",)
    search_fields = ("title",)
    ordering = ("-id",)
    sortable_by = ("title",)
    actions_detail = ("simulate", "publish", "pause", "resume", "end", "versions")
    conditional_fields = {
        "value": "kind !== 'coupon'",
        "coupon_benefit": "kind === 'coupon'",
        "coupon_value": "kind === 'coupon' && coupon_benefit !== 'gift'",
        "coupon_text": "kind === 'coupon' && coupon_benefit === 'gift'",
        "coupon_min_amount": "kind === 'coupon'",
        "coupon_valid_days": "kind === 'coupon'",
    }
    fieldsets = (
        (None, {"fields": ("business", "title")}),
        (_("What it gives"), {"fields": EFFECT_FIELDS}),
        (_("When"), {"fields": (("starts_on", "ends_on"), "weekdays", ("hours_from", "hours_until"))}),
        (_("For which purchases"), {"fields": ("min_amount", "categories", "first_purchase")}),
        (_("For whom"), {"fields": ("tiers", "segments", "birthday_days", "attended_event")}),
        (
            _("Together with other offers"),
            {
                "fields": ("stacking", "priority"),
                "description": _(
                    "Offers that go together all apply. Of the others only the best for the member does; "
                    "of two equally good ones that of the higher priority, then the older."
                ),
            },
        ),
        (
            _("Limits"),
            {
                "fields": (
                    ("per_member_limit", "per_member_day_limit"),
                    ("total_uses_limit", "total_bonus_limit"),
                ),
                "description": _("Empty: without one. A spent budget ends the offer between two purchases."),
            },
        ),
    )
    readonly_fieldsets = (
        (None, {"fields": ("business", "title", "status", "in_words", "stacking", "meter")}),
    )

    # --- What the person may do ------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.status != Status.ENDED)

    def choices(self, db_field: ForeignKey[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        return super().choices(db_field, request).filter(is_programme=False)

    def _may(self, request: HttpRequest, object_id: Any, *statuses: str) -> bool:
        offer = self.get_object(request, str(object_id)) if object_id else None
        return bool(offer and offer.status in statuses and super().has_change_permission(request, offer))

    def has_simulate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, *Status)

    has_versions_permission = has_simulate_permission

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Status.DRAFT, Status.PUBLISHED, Status.PAUSED)

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Status.PUBLISHED)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Status.PAUSED)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Status.DRAFT, Status.PUBLISHED, Status.PAUSED)

    # --- The form ----------------------------------------------------------------------------------

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return ("business", "title", "status", "in_words", "stacking", "meter")
        return ("business",) if obj is not None else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        return self.fieldsets if editable else self.readonly_fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # The fields of the rule are none of the model's, so Django must not ask the model for them.
        own = [name for name in OfferForm.Meta.fields if name not in self.get_readonly_fields(request, obj)]
        if obj is not None and not self.has_change_permission(request, obj):
            return forms.modelform_factory(Offer, fields=[])
        return super().get_form(request, obj, change, **kwargs | {"fields": own})

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        saved = offers.save_draft(form.terms, business=form.business, offer_id=obj.pk if change else None)
        obj.__dict__.update(saved.__dict__)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except OfferRefused as refusal:
            # Ended by a colleague while the form was open.
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(request.get_full_path())

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        context |= {
            "offer_preview": preview_of(form) if isinstance(form, OfferForm) and obj else None,
            "offer_editable": isinstance(form, OfferForm),
            "offer_meter": meter_of(obj) if obj and obj.version else None,
            "offer_unpublished": bool(obj and obj.version and version_rows(obj, latest=True)),
        }
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("preview/", preview, name="promos_offer_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Put the form as it stands into words, saving nothing; htmx shows them beside it."""
        if not self.has_add_permission(request) or request.method != "POST":
            raise PermissionDenied
        data = request.POST.copy()
        offer = None
        if object_id := data.get("offer"):
            offer = self.row_or_404(request, object_id)
        form = self.get_form(request, offer, change=offer is not None)(data, instance=offer)
        context = {"offer_preview": preview_of(form), "form": form, "resold": request.htmx.trigger_name}
        return TemplateResponse(request, "admin/offers/preview.html", context)

    # --- The list ------------------------------------------------------------------------------------

    @admin.display(description=_("in plain words"))
    def in_words(self, offer: Offer) -> str:
        return sentence(parse(offer.conditions, offer.effect), for_staff=True)

    @admin.display(description=_("budget"))
    def meter(self, offer: Offer) -> str:
        used = meter_of(offer)
        if used is None:
            return "—"
        return format_html(
            '<span class="offer-meter"><progress max="{}" value="{}"></progress> {}</span>',
            used["most"], used["used"], used["words"],
        )  # fmt: skip

    # --- What is done with one -------------------------------------------------------------------------

    @action(description=_("Simulate"), icon="query_stats")
    def simulate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)
        days = request.GET.get("days", "")
        chosen = int(days) if days in map(str, PERIODS_DAYS) else PERIODS_DAYS[1]
        context = simulation_page(offer, at=timezone.now(), days=chosen)
        return self._page(request, offer, "simulation", gettext("What would it have brought?"), context)

    @action(description=_("Versions"), icon="history")
    def versions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)
        return self._page(request, offer, "versions", gettext("Versions"), {"versions": version_rows(offer)})

    def _page(
        self, request: HttpRequest, offer: Offer, name: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        common = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": offer,
            "offer": offer,
            "title": title,
            "back": reverse("admin:promos_offer_change", args=[offer.pk]),
        }
        return TemplateResponse(request, f"admin/offers/{name}.html", common | context)

    @action(description=_("Publish"), icon="rocket_launch")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)

        def deed() -> str:
            offers.publish(offer.pk, business=offer.business, at=timezone.now())
            self.log_change(request, offer, gettext("Published"))
            return gettext("The offer is in force, and members see it.")

        return self._ask(
            request,
            offer,
            question=gettext("Publish “%(title)s”?") % {"title": offer.title},
            consequence=self.in_words(offer)
            + ". "
            + gettext("From now on purchases bring it. What you change later is a new version."),
            button=gettext("Publish"),
            deed=deed,
        )

    @action(description=_("Pause"), icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)

        def deed() -> str:
            offers.pause(offer.pk, business=offer.business)
            self.log_change(request, offer, gettext("Paused"))
            return gettext("The offer is paused.")

        return self._ask(
            request,
            offer,
            question=gettext("Pause “%(title)s”?") % {"title": offer.title},
            consequence=gettext(
                "Purchases no longer bring it, and members do not see it. You can resume it."
            ),
            button=gettext("Pause"),
            deed=deed,
        )

    @action(description=_("Resume"), icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)

        def deed() -> str:
            offers.resume(offer.pk, business=offer.business, at=timezone.now())
            self.log_change(request, offer, gettext("Resumed"))
            return gettext("The offer is in force again.")

        return self._ask(
            request,
            offer,
            question=gettext("Resume “%(title)s”?") % {"title": offer.title},
            consequence=gettext("Purchases bring it again, by the version published last."),
            button=gettext("Resume"),
            deed=deed,
        )

    @action(description=_("End"), icon="stop")
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        offer = self.row_or_404(request, object_id)

        def deed() -> str:
            offers.end(offer.pk, business=offer.business)
            self.log_change(request, offer, gettext("Ended"))
            return gettext("The offer has ended.")

        return self._ask(
            request,
            offer,
            question=gettext("End “%(title)s” for good?") % {"title": offer.title},
            consequence=gettext("It cannot be published again. What members have got stays theirs."),
            button=gettext("End"),
            deed=deed,
        )

    def _ask(self, request: HttpRequest, offer: Offer, **words: Any) -> HttpResponse:
        allowed = super().has_change_permission(request, offer)
        return self.ask_and_do(request, offer, allowed=allowed, **words)


def preview_of(form: Any) -> dict[str, Any]:
    """Return the rule in the words of both languages, its warnings, or what is still missing."""
    rule = form.rule
    if not form.is_bound and form.instance.effect:
        rule = parse(form.instance.conditions, form.instance.effect)
    elif form.is_bound:
        form.is_valid()
        rule = form.rule
    if rule is None:
        faults = [
            (form.fields[name].label if name in form.fields else "", messages_[0])
            for name, messages_ in form.errors.items()
            if name not in ("title", "business")
        ]
        return {"faults": faults}
    terms = form.cleaned_data if form.is_bound else form.initial
    event = form.events.get(str(rule.conditions.attended_event), "")
    said = {}
    for language in (get_language(), *LANGUAGES):
        with override(language):
            limits = limit_words(
                per_member=terms.get("per_member_limit"), per_member_day=terms.get("per_member_day_limit")
            )
            said[language] = ". ".join(filter(None, [sentence(rule, for_staff=True, event=event), limits]))
    own, other = said.items()
    return {
        "own": own[1],
        "other": other[1],
        "other_language": other[0],
        "warnings": warnings(rule, at=timezone.localtime()),
    }


def meter_of(offer: Offer) -> dict[str, Any] | None:
    """Return how much of the budget, or else of the uses in all, is gone; None without either limit."""
    if offer.total_bonus_limit is not None:
        words = gettext("%(used)s of %(most)s bonuses") % {
            "used": bonus(offer.bonuses_given), "most": bonus(offer.total_bonus_limit),
        }  # fmt: skip
        return {"used": int(offer.bonuses_given), "most": int(offer.total_bonus_limit), "words": words}
    if offer.total_uses_limit is not None:
        words = gettext("%(used)s of %(most)s uses") % {
            "used": offer.uses_count, "most": offer.total_uses_limit,
        }  # fmt: skip
        return {"used": offer.uses_count, "most": offer.total_uses_limit, "words": words}
    return None
