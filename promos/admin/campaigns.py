"""Campaigns of coupons: drafted, counted, issued in the background, exported."""

from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError
from unfold.decorators import action
from unfold.decorators import display as label_display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from loyalty.admin.purchases import OwnBusinessFilter
from loyalty.staff import MANAGERS, staff_scope
from loyalty.templatetags.money import grouped
from promos.audience_words import audience_words
from promos.coupon_export import export_coupons
from promos.coupon_wording import benefit_words, terms_words
from promos.models import Coupon, CouponCampaign
from promos.rules import benefit_fault
from promos.segments import Segment
from promos.services import campaigns
from promos.tasks import issue_campaign
from svoykrug.admin import ScopedAdmin

Status = CouponCampaign.Status
LABELS = {
    Status.DRAFT: "info",
    Status.ISSUING: "warning",
    Status.ISSUED: "success",
    Status.STOPPED: "danger",
}


class CampaignForm(forms.ModelForm):
    tiers = forms.TypedMultipleChoiceField(
        label=_("Tiers"),
        choices=[(level, str(level)) for level in range(1, 5)],
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None marked: any tier."),
    )
    segments = forms.MultipleChoiceField(
        label=_("RFM segments"),
        choices=Segment.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None marked: any, also who is in no segment. As of the last night."),
    )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        given = {"benefit", "benefit_value"} <= self.cleaned_data.keys()
        if given and (
            fault := benefit_fault(
                self.cleaned_data["benefit"],
                self.cleaned_data["benefit_value"],
                self.cleaned_data.get("benefit_text", ""),
            )
        ):
            self.add_error(f"benefit_{fault[0]}", fault[1])
        return cleaned


@admin.register(CouponCampaign)
class CouponCampaignAdmin(ScopedAdmin):
    """Drafted by the business's people, who address its own buyers; the programme may address everybody."""

    add_roles = change_roles = issue_roles = MANAGERS
    programme_may = frozenset({"view", "add", "change", "issue"})
    form = CampaignForm
    meaning = _(
        "A campaign gives one coupon to each member of an audience who agrees to advertising. "
        "Save a draft, look how many it reaches, then issue it."
    )
    list_display = ("title", "business", "what", "state", "progress", "started_at")
    list_select_related = ("business",)
    list_filter = ("status", OwnBusinessFilter)
    search_fields = ("title",)
    ordering = ("-id",)
    sortable_by = ()
    readonly_fields = ("state_words", "reach", "progress", "started_at", "finished_at", "whom", "what")
    actions_detail = ("issue", "stop", "export")

    def get_fieldsets(self, request: HttpRequest, obj: CouponCampaign | None = None) -> Any:
        programme = staff_scope(request.user).is_programme
        audience = (*(["reaches_everybody"] if programme else []), "bought_within_days", "tiers", "segments")
        coupon = ("benefit", "benefit_value", "benefit_text", "min_amount", "valid_days")
        if obj is not None and obj.status != Status.DRAFT:
            life = ("state_words", "progress", "started_at", "finished_at")
            return [(None, {"fields": ("title", "business", "whom", "what", "valid_days")}),
                    (_("How it goes"), {"fields": life})]  # fmt: skip
        head = ("title", "business", *(["reach"] if obj else []))
        return [
            (None, {"fields": head}),
            (_("Who gets it"), {"fields": audience}),
            (_("The coupon"), {"fields": coupon}),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What members were given does not change under their eyes.
        return super().has_change_permission(request, obj) and (obj is None or obj.status == Status.DRAFT)

    # --- What staff do -----------------------------------------------------------------------------

    def _in(self, request: HttpRequest, object_id: Any, *statuses: str) -> bool:
        campaign = self.get_object(request, str(object_id)) if object_id else None
        return bool(campaign and campaign.status in statuses and self.may(request, "issue", campaign))

    def has_issue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._in(request, object_id, Status.DRAFT)

    def has_stop_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._in(request, object_id, Status.ISSUING)

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._in(request, object_id, Status.ISSUING, Status.ISSUED, Status.STOPPED)

    @action(description=_("Issue"), icon="send")
    def issue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row_or_404(request, object_id)

        def deed() -> str:
            campaigns.start(campaign.pk, at=timezone.now())
            self.log_change(request, campaign, gettext("Issue begun"))
            with suppress(OperationalError):  # Without Redis `continue_campaigns` takes it up later.
                issue_campaign.delay_on_commit(str(campaign.pk))
            return gettext("The coupons are on their way. This page shows how far they have come.")

        reach = campaigns.preview(campaign, at=timezone.now())
        return self.ask_and_do(
            request,
            campaign,
            allowed=self.may(request, "issue", campaign),
            question=ngettext(
                "Give %(count)s member a coupon?", "Give %(count)s members a coupon?", reach.consenting
            )
            % {"count": grouped(reach.consenting)},
            consequence=f"{audience_words(campaign)} {reach_words(reach)} "
            + gettext("Coupons that are given cannot be changed any more, only taken back one by one."),
            button=gettext("Issue"),
            deed=deed,
        )

    @action(description=_("Stop"), icon="stop")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row_or_404(request, object_id)

        def deed() -> str:
            campaigns.stop(campaign.pk, at=timezone.now())
            self.log_change(request, campaign, gettext("Stopped"))
            return gettext("No more coupons are given. Those already given stay valid.")

        return self.ask_and_do(
            request,
            campaign,
            allowed=self.may(request, "issue", campaign),
            question=gettext("Stop the issue?"),
            consequence=gettext("Who has a coupon keeps it; nobody else gets one. It cannot go on."),
            button=gettext("Stop"),
            deed=deed,
        )

    @action(description=_("Download coupons as CSV"), icon="download")
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        campaign = self.row_or_404(request, object_id)
        if not self.may(request, "issue", campaign):
            raise PermissionDenied
        at = timezone.now()
        given = Coupon.objects.filter(campaign_coupons__campaign=campaign)
        return export_coupons(given, file_name=f"coupons-{timezone.localdate(at)}", at=at)

    # --- Columns -----------------------------------------------------------------------------------

    @label_display(description=_("status"), label={str(status): label for status, label in LABELS.items()})
    def state(self, campaign: CouponCampaign) -> tuple[str, str]:
        return campaign.status, campaign.get_status_display()

    @admin.display(description=_("status"))
    def state_words(self, campaign: CouponCampaign) -> str:
        return campaign.get_status_display()

    @admin.display(description=_("coupon"))
    def what(self, campaign: CouponCampaign) -> str:
        return ". ".join(part for part in (benefit_words(campaign)[2], terms_words(campaign)) if part)

    @admin.display(description=_("who gets it"))
    def whom(self, campaign: CouponCampaign) -> str:
        return audience_words(campaign)

    @admin.display(description=_("reaches now"))
    def reach(self, campaign: CouponCampaign) -> str:
        return reach_words(campaigns.preview(campaign, at=timezone.now()))

    @admin.display(description=_("coupons given"))
    def progress(self, campaign: CouponCampaign) -> str:
        if campaign.status == Status.DRAFT:
            return "—"
        words = {"issued": grouped(campaign.issued), "refused": grouped(campaign.refused)}
        text = gettext("Coupons: %(issued)s. Without consent: %(refused)s.") % words
        if campaign.status != Status.ISSUING or not campaign.expected:
            return text
        share = min(100 * campaign.matched // campaign.expected, 100)
        return f"{share} % · {text}"


def reach_words(reach: campaigns.Preview) -> str:
    """Say how many match, how many consent and so get one, and how many do not."""
    return gettext(
        "Match: %(matched)s. Agree to advertising, get a coupon: %(consenting)s. Do not agree: %(refused)s."
    ) % {
        "matched": grouped(reach.matched),
        "consenting": grouped(reach.consenting),
        "refused": grouped(reach.refused),
    }
