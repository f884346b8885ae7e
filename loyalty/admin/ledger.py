"""Lots and ledger entries, to read: corrections are entries of their own, made by services."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from loyalty.models import BonusEntry, BonusLot
from loyalty.staff import OWNERS, staff_scope
from loyalty.templatetags.money import grouped, signed_bonus
from svoykrug.admin import UncountedAdmin
from svoykrug.history import moment


class EntryInline(TabularInline):
    """What happened to the lot, oldest first; a business sees what `BonusEntryAdmin` shows it."""

    model = BonusEntry
    fields = readonly_fields = ("when", "kind", "change", "honoured_by")
    ordering = ("position",)
    extra = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = _("Entries of the lot")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BonusEntry]:
        rows = super().get_queryset(request).select_related("honoured_by")
        own = staff_scope(request.user).within(OWNERS)
        return rows if own is None else rows.filter(Q(lot__issuer__in=own) | Q(honoured_by__in=own))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The page of the lot itself decides.
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("when"))
    def when(self, entry: BonusEntry) -> str:
        return moment(entry.created_at)

    @admin.display(description=_("bonuses"))
    def change(self, entry: BonusEntry) -> str:
        return signed_bonus(entry.amount)


@admin.register(BonusLot)
class BonusLotAdmin(UncountedAdmin):
    business_paths = ("issuer",)
    view_roles = OWNERS
    meaning = _(
        "A lot is one accrual of bonuses and what is left of it; lots expiring soonest are spent first."
    )
    list_display = ("accrued_on", "who", "issuer", "kind", "accrued", "remaining", "expires_at")
    list_select_related = ("member", "issuer")
    list_filter = ("kind",)
    sortable_by = ()
    fields = ("who", "issuer", "kind", "accrued", "remaining", "available_from", "expires_at", "receipt")
    readonly_fields = ("who", "receipt")
    inlines = (EntryInline,)

    def narrow(self, rows: QuerySet[BonusLot], businesses: frozenset[UUID]) -> QuerySet[BonusLot]:
        """Keep lots that the businesses gave or honoured."""
        honoured = BonusEntry.objects.filter(lot=OuterRef("pk"), honoured_by__in=businesses)
        return rows.filter(Q(issuer__in=businesses) | Exists(honoured))

    @admin.display(description=_("accrued on"))
    def accrued_on(self, lot: BonusLot) -> str:
        return moment(lot.created_at)

    @admin.display(description=_("member"))
    def who(self, lot: BonusLot) -> str:
        return str(lot.member)

    @admin.display(description=_("receipt"))
    def receipt(self, lot: BonusLot) -> str:
        return str(lot.transaction) if lot.transaction else "—"


@admin.register(BonusEntry)
class BonusEntryAdmin(UncountedAdmin):
    business_paths = ("lot__issuer", "honoured_by")
    view_roles = OWNERS
    meaning = _(
        "Every movement of bonuses, newest first: where they were given and where they were honoured."
    )
    list_display = ("when", "who", "kind", "change", "issuer", "honoured_by")
    list_select_related = ("member", "lot__issuer", "honoured_by")
    list_filter = ("kind",)
    sortable_by = ()
    fields = ("when", "recorded_at", "who", "kind", "change", "issuer", "honoured_by", "left")
    readonly_fields = ("when", "recorded_at", "who", "change", "issuer", "left")

    @admin.display(description=_("when"))
    def when(self, entry: BonusEntry) -> str:
        return moment(entry.created_at)

    @admin.display(description=_("member"))
    def who(self, entry: BonusEntry) -> str:
        return str(entry.member)

    @admin.display(description=_("bonuses"))
    def change(self, entry: BonusEntry) -> str:
        return signed_bonus(entry.amount)

    @admin.display(description=_("given by"))
    def issuer(self, entry: BonusEntry) -> str:
        return entry.lot.issuer.name

    @admin.display(description=_("left in the lot"))
    def left(self, entry: BonusEntry) -> str:
        return grouped(entry.lot.remaining)
