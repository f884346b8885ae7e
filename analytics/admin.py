"""The pipeline's own record for programme staff, and where the reports are mounted."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from analytics.models import ForecastRun, Reconciliation, RfmRun, SyncWindow
from analytics.reports import report_urls
from loyalty.staff import NOBODY
from svoykrug.admin import ReadOnlyAdmin

# Unfold's site asks for addresses of its own here; they share the admin's login and context.
admin.site.extra_urls = report_urls


@admin.register(SyncWindow)
class SyncWindowAdmin(ReadOnlyAdmin):
    view_roles = NOBODY
    meaning = _("What was carried to the analytics and when: a window is planned, pulled, then done.")
    list_display = ("table", "status", "rows", "seconds", "created_at", "finished_at")
    list_filter = ("table", "status")
    ordering = ("-created_at",)


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    view_roles = NOBODY
    meaning = _("Months of the analytics compared with PostgreSQL; one that differs is rebuilt from there.")
    list_display = (
        "table",
        "month",
        "outcome",
        "postgres_rows",
        "clickhouse_rows",
        "postgres_amount",
        "clickhouse_amount",
        "created_at",
    )
    list_filter = ("outcome", "table")
    ordering = ("-created_at", "table", "month")


@admin.register(RfmRun)
class RfmRunAdmin(ReadOnlyAdmin):
    view_roles = NOBODY
    meaning = _("Each night's picture of the customers and the cut-points that explain every score.")
    list_display = ("snapshot_date", "members", "calculated_at", "as_of")
    date_hierarchy = "snapshot_date"
    ordering = ("-snapshot_date",)


@admin.register(ForecastRun)
class ForecastRunAdmin(ReadOnlyAdmin):
    view_roles = NOBODY
    meaning = _("What each business's customers are foretold by; too few who came back have no parameters.")
    list_display = ("business", "until", "customers", "repeat_buyers", "calculated_at", "as_of")
    list_select_related = ("business",)
    ordering = ("-repeat_buyers",)
