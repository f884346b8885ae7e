"""Quotes: what tills were promised."""

from decimal import Decimal

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from loyalty.admin.purchases import OwnBusinessFilter
from loyalty.templatetags.money import bonus_words, rub, signed_bonus
from promos.models import Quote
from svoykrug.admin import UncountedAdmin
from svoykrug.history import moment


@admin.register(Quote)
class QuoteAdmin(UncountedAdmin):
    meaning = _("What tills were promised for a bill, for 15 minutes, and whether the purchase came.")
    list_display = ("asked", "who", "where", "sum", "by_bonuses", "state", "expires_at")
    list_select_related = ("member", "business")
    list_filter = (OwnBusinessFilter,)
    sortable_by = ()
    fields = (
        "asked", "where", "who", "sum", "discount", "by_bonuses", "bonuses", "code", "kept", "state",
        "expires_at", "receipt",
    )  # fmt: skip
    readonly_fields = (
        "asked", "where", "who", "sum", "discount", "by_bonuses", "bonuses", "code", "kept", "state",
        "receipt",
    )  # fmt: skip

    @admin.display(description=_("asked"))
    def asked(self, quote: Quote) -> str:
        return moment(quote.created_at)

    @admin.display(description=_("business"))
    def where(self, quote: Quote) -> str:
        return quote.business.name

    @admin.display(description=_("coupon"))
    def code(self, quote: Quote) -> str:
        return str(quote.coupon or "—")

    @admin.display(description=_("member"))
    def who(self, quote: Quote) -> str:
        return str(quote.member)

    @admin.display(description=_("amount"))
    def sum(self, quote: Quote) -> str:
        return rub(Decimal(quote.promised["amount"]))

    @admin.display(description=_("coupon discount"))
    def discount(self, quote: Quote) -> str:
        return rub(Decimal(quote.promised["coupon_discount"]))

    @admin.display(description=_("paid by bonuses"))
    def by_bonuses(self, quote: Quote) -> str:
        return rub(Decimal(quote.promised["bonus_redeemed"]))

    @admin.display(description=_("bonuses"))
    def bonuses(self, quote: Quote) -> str:
        return signed_bonus(Decimal(quote.promised["bonus_accrued"]))

    @admin.display(description=_("set aside"))
    def kept(self, quote: Quote) -> str:
        parts = [bonus_words(quote.hold.amount)] if quote.hold else []
        return ", ".join([*parts, *([gettext("coupon")] if quote.holds and quote.coupon_id else [])]) or "—"

    @admin.display(description=_("status"))
    def state(self, quote: Quote) -> str:
        if quote.transaction_id:
            return gettext("purchase came")
        if quote.cancelled_at:
            return gettext("cancelled by the till")
        return gettext("valid") if quote.expires_at > timezone.now() else gettext("run out")

    @admin.display(description=_("receipt"))
    def receipt(self, quote: Quote) -> str:
        return str(quote.transaction) if quote.transaction else "—"
