"""Imports of files, and who changed what."""

import re
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from loyalty.history import about_id, actor_words, name_actors
from loyalty.models import AuditLog, ImportJob, ImportRejection
from loyalty.staff import NOBODY
from svoykrug.admin import ReadOnlyAdmin, UncountedAdmin
from svoykrug.db.audit import audited_models
from svoykrug.history import describe, history_address, moment, table_words

# A row that was created or removed names all its columns; its own page shows the rest.
SHOWN_COLUMNS = 4
UUID_WORD = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ImportRejectionInline(TabularInline):
    model = ImportRejection
    fields = readonly_fields = ("line", "column", "reason", "given")
    ordering = ("line",)
    extra = 0
    per_page = 50
    can_delete = False
    verbose_name_plural = _("Rows that were not loaded")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The page of the import itself decides.
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("row"))
    def given(self, rejection: ImportRejection) -> str:
        return ", ".join(f"{column}: {value}" for column, value in rejection.row.items())


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    meaning = _("Files that were loaded. Loading one again adds nothing: every receipt is kept once.")
    list_display = ("file_name", "started", "business", "status", "read", "created", "duplicates", "rejected")
    list_select_related = ("business",)
    list_filter = ("status",)
    search_fields = ("file_name",)
    ordering = ("-id",)
    inlines = (ImportRejectionInline,)
    fields = (
        "file_name", "started", "finished_at", "business", "status", "dry_run", "read", "created",
        "duplicates", "rejected", "refunds", "parked", "amount", "error",
    )  # fmt: skip
    readonly_fields = ("started",)

    @admin.display(description=_("started"))
    def started(self, job: ImportJob) -> str:
        return moment(job.created_at)


class TableFilter(admin.SimpleListFilter):
    """Named from the models, not by asking a million rows which tables they hold."""

    title = _("table")
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tables = [(model._meta.db_table, table_words(model._meta.db_table)) for model in audited_models()]
        return sorted(tables, key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


@admin.register(AuditLog)
class AuditLogAdmin(UncountedAdmin):
    view_roles = NOBODY
    business_paths = ()
    meaning = _("Who changed what, newest first. These rows cannot be changed or removed.")
    list_display = ("when", "where", "action", "who", "what")
    list_filter = (TableFilter, "action", "actor_kind")
    search_fields = ("request_id__exact",)
    search_help_text = _("Id of a row, of a person or of a request, in full.")
    sortable_by = ()
    fields = readonly_fields = ("when", "where", "action", "who", "actor_id", "request_id", "all_columns")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditLog], search_term: str
    ) -> tuple[QuerySet[AuditLog], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        if UUID_WORD.fullmatch(term):
            return queryset.filter(about_id(UUID(term)) | Q(request_id=term)), False
        return queryset.filter(request_id=term), False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        names = name_actors(page.result_list)
        for row in page.result_list:
            row.named_actor = actor_words(row, names)
        return page

    @admin.display(description=_("when"))
    def when(self, row: AuditLog) -> str:
        return moment(row.created_at)

    @admin.display(description=_("where"))
    def where(self, row: AuditLog) -> str:
        table, row_end = table_words(row.table_name), str(row.row_id)[-6:]
        if address := history_address(row):
            return format_html('<a class="underline" href="{}">{} {}</a>', address, table, row_end)
        return f"{table} {row_end}"

    @admin.display(description=_("who"))
    def who(self, row: AuditLog) -> str:
        return getattr(row, "named_actor", None) or actor_words(row, name_actors([row]))

    @admin.display(description=_("changes"))
    def what(self, row: AuditLog) -> str:
        return format_html_join("; ", "{}: {} → {}", describe(row)[:SHOWN_COLUMNS]) or "—"

    @admin.display(description=_("changes"))
    def all_columns(self, row: AuditLog) -> str:
        return format_html_join(mark_safe("<br>"), "{}: {} → {}", describe(row)) or "—"
