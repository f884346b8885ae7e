"""Coupons for those who honour them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from promos.models import Coupon
from svoykrug.admin import UncountedAdmin


@admin.register(Coupon)
class CouponAdmin(UncountedAdmin):
    meaning = _("Coupons to be honoured here: who holds one, what it gives and whether it has been used.")
    list_display = ("__str__", "who", "business", "chain", "worth", "status", "valid_until")
    list_select_related = ("member", "business", "chain__source_business", "chain__target_business")
    list_filter = ("status", ("valid_until", RangeDateFilter))
    list_filter_submit = True
    search_fields = ("code__exact",)
    search_help_text = _("Code in full.")
    sortable_by = ()
    # Without the receipt that brought it: that one is the source's own affair.
    fields = (
        "__str__", "who", "business", "chain", "worth", "min_amount", "status", "valid_from", "valid_until",
    )  # fmt: skip
    readonly_fields = ("__str__", "who", "worth")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Coupon], search_term: str
    ) -> tuple[QuerySet[Coupon], bool]:
        code = "".join(search_term.upper().replace("-", " ").split())
        return (queryset.filter(code=code) if code else queryset), False

    @admin.display(description=_("member"))
    def who(self, coupon: Coupon) -> str:
        return str(coupon.member)

    @admin.display(description=_("benefit"))
    def worth(self, coupon: Coupon) -> str:
        return coupon.benefit_text or f"{coupon.get_benefit_display()}: {coupon.benefit_value.normalize():f}"
