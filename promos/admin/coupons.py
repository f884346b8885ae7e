"""Coupons for those who honour them."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import action
from unfold.decorators import display as label_display

from loyalty.admin.purchases import OwnBusinessFilter
from loyalty.staff import MANAGERS, staff_scope
from promos.coupon_export import export_coupons
from promos.coupon_wording import benefit_words, last_moment, source_words, state_words
from promos.models import Coupon
from promos.rules import CouponState, coupon_state, normalise_code
from promos.selectors import with_story
from promos.services.coupon_life import LONGEST_REASON, void_coupon
from svoykrug.admin import UncountedAdmin
from svoykrug.history import moment

LABELS = {
    CouponState.LIVE: "success",
    CouponState.NOT_YET_VALID: "info",
    CouponState.USED: "primary",
    CouponState.EXPIRED: "warning",
    CouponState.VOIDED: "danger",
}


@admin.register(Coupon)
class CouponAdmin(UncountedAdmin):
    meaning = _("Coupons to be honoured here: who holds one, what it gives and whether it has been used.")
    void_roles = MANAGERS
    programme_may = frozenset({"view", "void"})
    list_display = ("__str__", "state", "who", "business", "source", "worth", "until")
    list_filter = ("status", OwnBusinessFilter, ("valid_until", RangeDateFilter))
    list_filter_submit = True
    search_fields = ("code__exact",)
    search_help_text = _("Code in full.")
    sortable_by = ()
    actions_list = ("export",)
    actions_detail = ("void",)
    # Without the receipt that brought it: that one is the source's own affair.
    fields = (
        "__str__", "state_words", "who", "masked", "business", "source", "worth", "min_amount", "since",
        "until", "used", "void_reason",
    )  # fmt: skip
    readonly_fields = ("__str__", "state_words", "who", "masked", "source", "worth", "since", "until", "used")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # A business's own newest are found by index; of all, by key.
        scoped = staff_scope(request.user).within(self.view_roles) is not None
        return ("-created_at", "-id") if scoped else ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        return with_story(super().get_queryset(request)).select_related("member")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Coupon], search_term: str
    ) -> tuple[QuerySet[Coupon], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(code=normalise_code(search_term) or ""), False

    # --- What staff do -----------------------------------------------------------------------------

    def has_void_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        coupon = self.get_object(request, str(object_id)) if object_id else None
        usable = (CouponState.LIVE, CouponState.NOT_YET_VALID)
        return self.may(request, "void", coupon) and (
            coupon is None or coupon_state(coupon, at=timezone.now()) in usable
        )

    @action(description=_("Take back"), icon="block")
    def void(self, request: HttpRequest, object_id: str) -> HttpResponse:
        coupon = self.row_or_404(request, object_id)

        def deed() -> str:
            reason = request.POST.get("reason", "")
            void_coupon(coupon.pk, reason=reason, at=timezone.now())
            self.log_change(request, coupon, gettext("Taken back: %(reason)s") % {"reason": reason})
            return gettext("The coupon no longer works.")

        return self.ask_and_do(
            request,
            coupon,
            allowed=self.may(request, "void", coupon),
            question=gettext("Take the coupon back?"),
            consequence=gettext("Its member will see it among the cancelled ones. This cannot be undone."),
            button=gettext("Take back"),
            deed=deed,
            reason_label=gettext("Why? Staff see it, the member does not."),
            longest_reason=LONGEST_REASON,
        )

    @action(description=_("Download all as CSV"), icon="download")
    def export(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        at = timezone.now()
        own = super().get_queryset(request)
        return export_coupons(own, file_name=f"coupons-{timezone.localdate(at)}", at=at)

    # --- Columns -----------------------------------------------------------------------------------

    @label_display(description=_("status"), label={str(state): label for state, label in LABELS.items()})
    def state(self, coupon: Coupon) -> tuple[str, str]:
        at = timezone.now()
        return coupon_state(coupon, at=at), state_words(coupon, at=at)

    @admin.display(description=_("status"))
    def state_words(self, coupon: Coupon) -> str:
        return state_words(coupon, at=timezone.now())

    @admin.display(description=_("member"))
    def who(self, coupon: Coupon) -> str:
        return str(coupon.member)

    @admin.display(description=_("phone"))
    def masked(self, coupon: Coupon) -> str:
        return coupon.member.masked_phone or "—"

    @admin.display(description=_("where from"))
    def source(self, coupon: Coupon) -> str:
        return source_words(coupon) or "—"

    @admin.display(description=_("benefit"))
    def worth(self, coupon: Coupon) -> str:
        return benefit_words(coupon)[2]

    @admin.display(description=_("valid from"))
    def since(self, coupon: Coupon) -> str:
        return moment(coupon.valid_from)

    @admin.display(description=_("valid until"))
    def until(self, coupon: Coupon) -> str:
        return moment(last_moment(coupon.valid_until))

    @admin.display(description=_("used on"))
    def used(self, coupon: Coupon) -> str:
        used_at: datetime | None = getattr(coupon, "used_at", None)
        return moment(used_at) if used_at else "—"
