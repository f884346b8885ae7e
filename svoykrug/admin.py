"""What a person sees of the admin: their own businesses, as their role there allows."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.forms import ModelChoiceField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from loyalty.models import Business
from loyalty.staff import MANAGERS, NOBODY, staff_scope
from svoykrug.errors import DomainError
from svoykrug.history import changes_of


class ScopedAdmin(ModelAdmin):
    """An admin page of one table, narrowed to the businesses of the person who looks.

    business_paths   lookups from a row to the business it belongs to; any of them is enough
    change_paths     those that let the row be changed, where not all of them do
    view_roles …     roles at that business that may do so; programme staff may always, unless
                     `programme_may` says otherwise
    meaning          one sentence above the list: what a row is
    """

    business_paths: tuple[str, ...] = ("business",)
    change_paths: tuple[str, ...] | None = None
    view_roles: frozenset[str] = MANAGERS
    add_roles: frozenset[str] = NOBODY
    change_roles: frozenset[str] = NOBODY
    delete_roles: frozenset[str] = NOBODY
    programme_may: frozenset[str] = frozenset({"view", "add", "change"})
    meaning: Any = ""

    list_before_template = "admin/meaning.html"
    list_per_page = 50
    show_full_result_count = False
    warn_unsaved_form = True

    # --- Rows --------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        own = staff_scope(request.user).within(self.view_roles)
        return self.real(rows) if own is None else self.narrow(rows, own)

    def real(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Leave out what test keys did in sandboxes, which nobody has among their businesses."""
        if not self.view_roles or self.business_paths in ((), ("pk",)):
            # Rows of no business; and businesses, whose manager hides sandboxes.
            return rows
        sandboxes = Business.with_sandboxes.filter(is_sandbox=True).values("pk")
        return rows.exclude(self._of(sandboxes, self.business_paths))

    def narrow(self, rows: QuerySet[Any], businesses: frozenset[UUID]) -> QuerySet[Any]:
        """Keep the rows of these businesses."""
        return rows.filter(self._of(businesses, self.business_paths)) if businesses else rows.none()

    @staticmethod
    def _of(businesses: frozenset[UUID] | QuerySet[Any], paths: tuple[str, ...]) -> Q:
        wanted = Q()
        for path in paths:
            wanted |= Q(**{f"{path}__in": businesses})
        return wanted

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        # Django answers with a redirect and a message; another's row and a missing one are both 404.
        raise Http404

    # --- What the person may do ------------------------------------------------------------------------

    def may(self, request: HttpRequest, deed: str, obj: Model | None = None) -> bool:
        """Say whether the person may do that, with this row or, without one, with any."""
        scope = staff_scope(request.user)
        own = scope.within(getattr(self, f"{deed}_roles"))
        if own is None:
            return deed in self.programme_may
        if obj is None or not own:
            return bool(own)
        paths = self.business_paths if deed == "view" else self.change_paths or self.business_paths
        if deed == "view" and type(self).narrow is not ScopedAdmin.narrow:
            return self.narrow(self.model._default_manager.filter(pk=obj.pk), own).exists()
        return any(_business_id(obj, path) in own for path in paths)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, "delete", obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "view")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Django lets any column of the row be asked for by address: `?phone__startswith=+79` would
        # read out, digit by digit, what the page hides.
        filters = {item if isinstance(item, str) else item[0] for item in self.list_filter
                   if isinstance(item, (str, tuple))}  # fmt: skip
        own = {getattr(item, "parameter_name", None) for item in self.list_filter}
        return lookup in own or any(lookup == name or lookup.startswith(f"{name}__") for name in filters)

    def may_see_changes(self, request: HttpRequest, obj: Model) -> bool:
        """Say whether the journal of that row is theirs to read: of an own row, not of any they see."""
        own = staff_scope(request.user).within(self.view_roles)
        return own is None or any(_business_id(obj, path) in own for path in self.business_paths)

    # --- Choices -------------------------------------------------------------------------------------

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        if "queryset" not in kwargs:
            kwargs["queryset"] = self.choices(db_field, request)
        if db_field.name in self.business_paths and len(own := self._may_write(request) or ()) == 1:
            kwargs.setdefault("initial", next(iter(own)))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _may_write(self, request: HttpRequest) -> frozenset[UUID] | None:
        return staff_scope(request.user).within(self.add_roles | self.change_roles)

    def choices(self, db_field: ForeignKey[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        """Return what may be chosen for a field: own businesses, and rows that the person may see."""
        model = db_field.remote_field.model
        if model is Business:
            own = self._may_write(request)
            return Business.objects.all() if own is None else Business.objects.filter(pk__in=own)
        other = self.admin_site._registry.get(model)
        return other.get_queryset(request) if other else model._default_manager.all()

    # --- Pages ---------------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        title = capfirst(self.model._meta.verbose_name_plural)
        return super().changelist_view(
            request, {"meaning": self.meaning, "title": title, **(extra_context or {})}
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        changes = changes_of(row) if self.may_see_changes(request, row) else []
        return super().history_view(request, object_id, {"changes": changes, **(extra_context or {})})

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        # Offered by `has_<deed>_permission`; the page of a deed itself answers 404, 403 or says why not.
        start = f"{self.model._meta.app_label}_{self.model._meta.model_name}_"
        return [
            action
            for action in super().get_actions_detail(request, object_id)
            if getattr(self, f"has_{action.action_name.removeprefix(start)}_permission")(request, object_id)
        ]

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        if (row := self.get_object(request, unquote(str(object_id)))) is None:
            raise Http404
        return row

    def ask_and_do(
        self,
        request: HttpRequest,
        row: Model,
        *,
        allowed: bool,
        question: str,
        consequence: str,
        button: str,
        deed: Callable[[], str],
        reason_label: str = "",
        longest_reason: int = 200,
    ) -> HttpResponse:
        """Ask on GET; on POST do it and say so, or say why not. `deed` returns what to say.

        reason_label  a line to fill in, posted as `reason`; a refusal about it is shown beside it
        """
        if not allowed:
            raise PermissionDenied
        opts = self.model._meta
        back = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
        reason_error = ""
        if request.method == "POST":
            try:
                messages.success(request, deed())
                return HttpResponseRedirect(back)
            except DomainError as refusal:
                if not (reason_label and refusal.field == "reason"):
                    messages.error(request, refusal.detail)
                    return HttpResponseRedirect(back)
                reason_error = refusal.detail
        context = {
            **self.admin_site.each_context(request),
            "opts": opts,
            "title": question,
            "original": row,
            "consequence": consequence,
            "button": button,
            "back": back,
            "reason_label": reason_label,
            "longest_reason": longest_reason,
            "reason": request.POST.get("reason", ""),
            "reason_error": reason_error,
        }
        return TemplateResponse(request, "admin/confirm.html", context)


def _business_id(row: Any, path: str) -> UUID | None:
    *steps, last = path.split("__")
    for step in steps:
        row = getattr(row, step)
    return cast("UUID", row.pk if last == "pk" else getattr(row, f"{last}_id"))


class ReadOnlyAdmin(ScopedAdmin):
    """A table that staff read; corrections go through services."""

    programme_may = frozenset({"view"})


class UncountedAdmin(ReadOnlyAdmin):
    """A list of a huge table: newest first by key, and nobody counts it."""

    paginator = InfinitePaginator
    ordering = ("-id",)
