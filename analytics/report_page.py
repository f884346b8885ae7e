"""What every report of the admin shares: who may see it, its file, and what happens without ClickHouse."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext

from analytics.errors import ClickHouseUnavailable
from analytics.selectors import freshness
from loyalty.staff import staff_scope
from svoykrug.spreadsheets import csv_answer

Report = Callable[..., dict[str, Any]]


def report(template: str) -> Callable[[Report], Callable[..., HttpResponseBase]]:
    """Make a page of a function that returns its context: refuses cashiers, bears ClickHouse being away.

    With `csv` in the address the table of that name among the context's `tables` comes as a file.
    """

    def decorate(build: Report) -> Callable[..., HttpResponseBase]:
        @wraps(build)
        def view(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            scope = staff_scope(request.user)
            if not scope.reports:
                raise PermissionDenied
            context = {**admin.site.each_context(request), "scope": scope, "as_of": freshness().as_of}
            try:
                context |= build(request, scope, **kwargs)
            except ClickHouseUnavailable:
                context["title"] = gettext("Reports are resting")
                return TemplateResponse(request, "admin/reports/unavailable.html", context, status=503)
            if name := request.GET.get("csv"):
                return _file(template, name, context)
            context["address"] = request.GET.urlencode()
            return TemplateResponse(request, f"admin/reports/{template}.html", context)

        return view

    return decorate


def _file(template: str, name: str, context: dict[str, Any]) -> HttpResponseBase:
    table = next((each for each in context.get("tables", {}).values() if each.name == name), None)
    if table is None:
        raise Http404
    return csv_answer(table.for_file(), file_name=f"{template}-{name}-{timezone.localdate():%Y-%m-%d}")
