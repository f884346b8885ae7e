"""Purchases and refunds, fast at half a million rows, and refunds that wait for their purchase."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import display as label_display

from loyalty.models import Business, ParkedRefund, Transaction
from loyalty.models.transaction import ParkedRefundQuerySet
from loyalty.staff import EVERYONE, staff_scope
from loyalty.templatetags.money import bonus_words, rub, signed_bonus
from promos.wording import explained
from svoykrug.admin import ReadOnlyAdmin, UncountedAdmin
from svoykrug.history import moment

from . import persons
from .people import members_called
from .persons import PersonsAdmin


class OwnBusinessFilter(admin.SimpleListFilter):
    """Only the person's own businesses are offered, and only where there are several."""

    title = _("business")
    parameter_name = "business"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        own = staff_scope(request.user).within(model_admin.view_roles)
        rows = Business.objects.all() if own is None else Business.objects.filter(pk__in=own)
        return [(row.code, row.name) for row in rows.order_by("name")]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(business__code=self.value()) if self.value() else queryset


@admin.register(Transaction)
class TransactionAdmin(PersonsAdmin, UncountedAdmin):
    view_roles = EVERYONE
    meaning = _(
        "Every purchase and refund, newest first. They are never changed: a refund is a row of its own."
    )
    list_display = ("external_id", "when", "kind", "who", "business", "sum", "bonuses", "source")
    list_display_links = ("external_id", "when")
    list_select_related = ("member", "business")
    list_filter = ("kind", "source", OwnBusinessFilter, ("created_at", RangeDateFilter))
    list_filter_submit = True
    search_fields = ("external_id__exact",)
    search_help_text = _("Receipt or card number in full; programme staff may also search by phone.")
    sortable_by = ()
    fieldsets = (
        (
            None,
            {"fields": ("external_id", "kind", "when", "business", "who", "masked", "category", "source")},
        ),
        (_("Money"), {"fields": ("sum", "discount", "by_bonuses", "paid")}),
        (_("Bonuses"), {"fields": ("bonuses", "why")}),
        (_("Receipt"), {"fields": ("goods", "purchase", "recorded_at")}),
    )
    readonly_fields = (
        "external_id", "kind", "when", "business", "who", "masked", "category", "source", "sum", "discount",
        "by_bonuses", "paid", "bonuses", "why", "goods", "purchase", "recorded_at",
    )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transaction], search_term: str
    ) -> tuple[QuerySet[Transaction], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        # Members first, by their unique keys: one OR across both tables would use no index.
        phones = staff_scope(request.user).is_programme
        members = list(members_called(term, phones=phones).values_list("pk", flat=True))
        return queryset.filter(Q(external_id=term) | Q(member__in=members)), False

    @admin.display(description=_("when"))
    def when(self, row: Transaction) -> str:
        return moment(row.created_at)

    @admin.display(description=_("member"))
    def who(self, row: Transaction) -> str:
        return persons.name(row.member) or str(row.member)

    @admin.display(description=_("phone"))
    def masked(self, row: Transaction) -> str:
        return persons.phone(row.member) or "—"

    @admin.display(description=_("amount"))
    def sum(self, row: Transaction) -> str:
        return rub(row.amount)

    @admin.display(description=_("coupon discount"))
    def discount(self, row: Transaction) -> str:
        return rub(row.coupon_discount)

    @admin.display(description=_("paid by bonuses"))
    def by_bonuses(self, row: Transaction) -> str:
        return rub(row.bonus_redeemed)

    @admin.display(description=_("paid"))
    def paid(self, row: Transaction) -> str:
        return rub(row.amount_paid)

    @admin.display(description=_("bonuses"))
    def bonuses(self, row: Transaction) -> str:
        return signed_bonus(row.bonus_accrued)

    @admin.display(description=_("refund of"))
    def purchase(self, row: Transaction) -> str:
        return str(row.refund_of) if row.refund_of else "—"

    @admin.display(description=_("lines"))
    def goods(self, row: Transaction) -> str | SafeString:
        return format_html_join("", "<div>{}</div>", ((line,) for line in _goods(row.lines or []))) or "—"

    @admin.display(description=_("why so"))
    def why(self, row: Transaction) -> str | SafeString:
        return format_html_join("", "<div>{}</div>", ((line,) for line in _reasons(row))) or "—"


def _goods(lines: list[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        yield " · ".join(str(value) for value in line.values() if value not in (None, ""))


def _reasons(row: Transaction) -> Iterator[SafeString | str]:
    """Say in words why the purchase brought what it brought, and what did not come and why."""
    if refund := row.explanation.get("refund"):
        yield from _refund_reasons({name: Decimal(text) for name, text in refund.items()})
        return
    words = explained(row.explanation, business=row.business.name)
    if words.not_earning:
        yield gettext("Goods that bring no bonuses: %(sum)s.") % {"sum": rub(words.not_earning)}
    for step in words.steps:
        yield format_html("{}: <b>{}</b>", step.text, signed_bonus(step.effect)) if step.effect else step.text
    if words.repaid:
        yield gettext("Of these, towards the member's debt: %(sum)s.") % {"sum": bonus_words(words.repaid)}
    if words.gift:
        yield gettext("For joining by an invitation: %(sum)s.") % {"sum": bonus_words(words.gift)}
    if words.risen:
        yield gettext("The member rose to the tier “%(tier)s”.") % {"tier": words.risen}
    for missed in words.missed:
        yield format_html("{}: {}", missed.text, missed.missing)


def _refund_reasons(sums: dict[str, Decimal]) -> Iterator[str]:
    if restored := sums.get("restored"):
        yield gettext("Returned to the member: %(sum)s.") % {"sum": bonus_words(restored)}
    if repaid := sums.get("repaid"):
        yield gettext("Of these, towards the member's debt: %(sum)s.") % {"sum": bonus_words(repaid)}
    if recovered := sums.get("recovered"):
        yield gettext("Of these, towards earlier write-offs: %(sum)s.") % {"sum": bonus_words(recovered)}
    yield gettext("Taken back: %(sum)s.") % {"sum": bonus_words(sums["taken_back"])}
    if expired := sums.get("expired"):
        yield gettext("Had run out before: %(sum)s.") % {"sum": bonus_words(expired)}
    if debt := sums["debt"]:
        yield gettext("The member had spent the rest, so a debt remains: %(sum)s.") % {
            "sum": bonus_words(debt)
        }
    if written_off := sums["written_off"]:
        yield gettext("Written off: %(sum)s.") % {"sum": bonus_words(written_off)}


class WaitFilter(admin.SimpleListFilter):
    title = _("wait")
    parameter_name = "wait"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("long", gettext("over %(days)d days") % {"days": settings.PARKED_REFUND_DAYS})]

    def queryset(self, request: HttpRequest, queryset: ParkedRefundQuerySet) -> ParkedRefundQuerySet:
        return queryset.overdue(timezone.now()) if self.value() == "long" else queryset


@admin.register(ParkedRefund)
class ParkedRefundAdmin(ReadOnlyAdmin):
    meaning = _("Refunds that came before their purchase. Each is applied by itself when the purchase comes.")
    list_display = ("external_id", "refund_of", "purchased_at", "business", "amount", "source", "waits")
    list_select_related = ("business",)
    list_filter = (WaitFilter, OwnBusinessFilter)
    search_fields = ("external_id__exact", "refund_of__exact")
    ordering = ("-id",)
    fields = (
        "external_id", "refund_of", "purchased_at", "business", "who", "amount", "category", "source",
        "waits",
    )  # fmt: skip
    readonly_fields = ("who", "waits")

    @label_display(description=_("waits"), label={"long": "danger", "short": "info"})
    def waits(self, row: ParkedRefund) -> tuple[str, str]:
        days = (timezone.now() - row.created_at).days
        words = ngettext("%(days)d day", "%(days)d days", days) % {"days": days} if days else gettext("today")
        return ("long" if days >= settings.PARKED_REFUND_DAYS else "short"), words

    @admin.display(description=_("member"))
    def who(self, row: ParkedRefund) -> str:
        return persons.name(row.member) or str(row.member)
