"""Imports of files, and who changed what."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from loyalty.models import AuditLog, ImportJob, ImportRejection
from svoykrug.admin import NOBODY, ReadOnlyAdmin, UncountedAdmin, moment


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


@admin.register(AuditLog)
class AuditLogAdmin(UncountedAdmin):
    view_roles = NOBODY
    meaning = _("Who changed what, newest first. These rows cannot be changed or removed.")
    list_display = ("when", "table_name", "row_id", "action", "actor_kind", "actor_id")
    search_fields = ("table_name__exact", "request_id__exact")
    sortable_by = ()
    fields = ("when", "table_name", "row_id", "action", "actor_kind", "actor_id", "request_id", "changes")
    readonly_fields = ("when",)

    @admin.display(description=_("when"))
    def when(self, row: AuditLog) -> str:
        return moment(row.created_at)
