"""Members, and the team that serves them."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from loyalty.errors import InvalidPhone
from loyalty.models import Member, Referral, StaffMembership, TierChange, Transaction
from loyalty.phones import normalise_phone
from loyalty.selectors import wallet
from loyalty.services.enrolment import remember_phone
from loyalty.services.team import join_team, leave_team
from loyalty.staff import OWNERS, staff_scope
from promos.models import Coupon
from svoykrug.admin import ScopedAdmin, UncountedAdmin
from svoykrug.history import moment
from svoykrug.money import ZERO

from . import persons
from .persons import PersonsAdmin

# Roles are memberships of staff: Django's groups would promise permissions that nobody asks about.
admin.site.unregister(Group)


def members_called(text: str, *, phones: bool) -> QuerySet[Member]:
    """Return the members of exactly that card or, where the asker may know phones, that phone."""
    found = Member.objects.filter(card_number=text)
    if phones:
        with suppress(InvalidPhone):
            found = found | Member.objects.filter(phone=normalise_phone(text))
    return found


class TierChangeInline(TabularInline):
    model = TierChange
    fields = readonly_fields = ("when", "from_level", "to_level", "reason", "turnover_rub")
    ordering = ("-created_at", "-id")
    extra = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = _("Changes of tier")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The page of the member itself decides.
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("when"))
    def when(self, change: TierChange) -> str:
        return moment(change.created_at)


@admin.register(Member)
class MemberAdmin(PersonsAdmin, UncountedAdmin):
    """Partners see who bought at or holds a coupon of their business: first name and masked phone,
    and the whole of both where the member agreed to that."""

    # No member belongs to a business: who serves one sees no history of theirs.
    business_paths = ()
    programme_may = frozenset({"view", "change"})
    meaning = _("People of the circle: those who bought here or hold a coupon for here.")
    search_fields = ("card_number__exact",)
    search_help_text = _("Card number in full; programme staff may also search by phone.")
    list_display = ("who", "masked", "card_number", "status_tier", "joined")
    list_filter = ("status_tier",)
    list_select_related = ("status_tier",)
    sortable_by = ()
    shared_fields = ("who", "masked", "card_number", "status_tier", "joined")

    def person(self, row: Any) -> Member:
        return row

    def narrow(self, rows: QuerySet[Member], businesses: frozenset[UUID]) -> QuerySet[Member]:
        at_them = {"member": OuterRef("pk"), "business__in": businesses}
        return rows.filter(
            Exists(Transaction.objects.filter(**at_them)) | Exists(Coupon.objects.filter(**at_them))
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if not staff_scope(request.user).is_programme:
            return ((None, {"fields": self.shared_fields}),)
        return (
            (None, {"fields": ("first_name", "last_name", "phone", "card_number", "email", "birth_date")}),
            (_("Settings"), {"fields": ("city", "language", "is_active", "is_staff")}),
            (_("Bonuses"), {"fields": ("balance", "status_tier", "tier_valid_until")}),
            (_("Circle"), {"fields": ("referral_code", "referred_by", "invitation", "joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if not staff_scope(request.user).is_programme:
            return self.shared_fields
        return (
            "card_number", "balance", "status_tier", "tier_valid_until",
            "referral_code", "referred_by", "invitation", "joined",
        )  # fmt: skip

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        # Turnover is measured over all businesses: no partner's to see.
        return (TierChangeInline,) if staff_scope(request.user).is_programme else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.phone:
            remember_phone(obj.phone)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Member], search_term: str
    ) -> tuple[QuerySet[Member], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        phones = staff_scope(request.user).is_programme
        return queryset.filter(pk__in=members_called(term, phones=phones).values("pk")), False

    @admin.display(description=_("name"))
    def who(self, member: Member) -> str:
        return persons.name(member) or "—"

    @admin.display(description=_("phone"))
    def masked(self, member: Member) -> str:
        return persons.phone(member) or "—"

    @admin.display(description=_("joined"))
    def joined(self, member: Member) -> str:
        return moment(member.created_at)

    @admin.display(description=_("joined by invitation"))
    def invitation(self, member: Member) -> str:
        referral = Referral.objects.filter(newcomer=member).first()
        if referral is None:
            return "—"
        reasons = dict(Referral.Reason.choices)
        said = [referral.code, referral.get_status_display(), reasons.get(referral.reason, referral.reason)]
        return " · ".join(str(part) for part in said if part)

    @admin.display(description=_("balance"))
    def balance(self, member: Member) -> str:
        now = wallet(member.pk, at=timezone.now())
        words = gettext("%(available)s available, %(pending)s pending") % {
            "available": now.available,
            "pending": now.pending,
        }
        if now.held:
            words += gettext(", %(held)s held by quotes") % {"held": now.held}
        return words if now.debt == ZERO else words + gettext(", debt %(debt)s") % {"debt": now.debt}


class TeamForm(forms.ModelForm):
    phone = forms.CharField(
        label=_("Phone"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "tel"}),
        help_text=_("The person must already be a member of the circle."),
    )

    class Meta:
        model = StaffMembership
        fields = ("business", "role")

    def clean_phone(self) -> str:
        try:
            phone = normalise_phone(self.cleaned_data["phone"])
        except InvalidPhone as refusal:
            raise forms.ValidationError(refusal.detail) from None
        if not (member := Member.objects.filter(phone=phone, is_active=True).first()):
            raise forms.ValidationError(
                gettext("There is no member with this phone. Ask them to join first.")
            )
        self.instance.member = member
        return phone

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        business, member = self.cleaned_data.get("business"), getattr(self.instance, "member", None)
        taken = StaffMembership.objects.filter(member=member, business=business)
        if business and member and taken.exists():
            self.add_error("phone", gettext("This person is in the team already."))
        return cleaned


@admin.register(StaffMembership)
class StaffMembershipAdmin(ScopedAdmin):
    """An owner runs the team of the own business; nobody takes the own place away by mistake."""

    view_roles = add_roles = change_roles = delete_roles = OWNERS
    programme_may = frozenset({"view", "add", "change", "delete"})
    meaning = _("Who works where: an owner sees everything here, a manager all but team and keys, "
                "a cashier the purchases.")  # fmt: skip
    list_display = ("who", "masked", "business", "role")
    list_select_related = ("member", "business")
    list_filter = ("role",)
    ordering = ("business__name", "role", "id")
    actions = None

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("who", "masked", "business", "role") if obj else ("phone", "business", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("who", "masked", "business") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = TeamForm
            kwargs["fields"] = ("business", "role")
        return super().get_form(request, obj, change=change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not self._is_self(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not self._is_self(request, obj)

    @staticmethod
    def _is_self(request: HttpRequest, obj: Any) -> bool:
        return obj is not None and obj.member_id == request.user.pk

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        kept = join_team(member=obj.member, business=obj.business, role=obj.role)
        obj.pk, obj._state.adding = kept.pk, False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        leave_team(obj)

    @admin.display(description=_("first name"))
    def who(self, membership: StaffMembership) -> str:
        return membership.member.first_name or "—"

    @admin.display(description=_("phone"))
    def masked(self, membership: StaffMembership) -> str:
        return membership.member.masked_phone
