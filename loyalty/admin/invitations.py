"""Invitations and what came of them, for programme staff: they span partners."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from loyalty.models import Referral
from loyalty.staff import NOBODY
from svoykrug.admin import UncountedAdmin
from svoykrug.history import moment


@admin.register(Referral)
class ReferralAdmin(UncountedAdmin):
    business_paths = ()
    view_roles = NOBODY
    meaning = _(
        "Who joined by whose code, and whether it was rewarded. The first large purchase rewards both."
    )
    list_display = ("joined", "inviter", "newcomer", "code", "status", "why", "rewarded")
    list_select_related = ("inviter", "newcomer")
    list_filter = ("status", "reason", ("settled_at", RangeDateFilter))
    list_filter_submit = True
    search_fields = ("code__exact",)
    search_help_text = _("Code in full.")
    sortable_by = ()
    fields = ("joined", "inviter", "newcomer", "code", "status", "why", "rewarded", "receipt")
    readonly_fields = ("joined", "why", "rewarded", "receipt")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        code = search_term.strip().upper().replace("-", "")
        return (queryset.filter(code=code) if code else queryset), False

    @admin.display(description=_("joined"))
    def joined(self, referral: Referral) -> str:
        return moment(referral.created_at)

    @admin.display(description=_("reason"))
    def why(self, referral: Referral) -> str:
        reasons = dict(Referral.Reason.choices)
        return str(reasons.get(referral.reason, referral.reason)) or "—"

    @admin.display(description=_("rewarded"))
    def rewarded(self, referral: Referral) -> str:
        # A refused one keeps the moment of its purchase, too.
        came = referral.status in (Referral.Status.REWARDED, Referral.Status.VOIDED)
        return moment(referral.settled_at) if came and referral.settled_at else "—"

    @admin.display(description=_("receipt"))
    def receipt(self, referral: Referral) -> str:
        return str(referral.transaction) if referral.transaction else "—"
