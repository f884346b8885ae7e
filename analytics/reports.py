"""Reports of the admin: who the customers are (RFM), and whom partners bring to each other (win-win)."""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext
from django_celery_beat.models import PeriodicTask

from analytics.comparison import FEWEST_PER_ARM
from analytics.errors import ClickHouseUnavailable
from analytics.periods import CHOICES, Period, chosen_period
from analytics.pipeline_report import pipeline_report
from analytics.rfm_report import champions, found_member, member_lines, rfm_grid, segment_choices
from analytics.selectors import (
    FEWEST_BUYERS,
    freshness,
    rfm_cuts,
    rfm_map,
    rfm_rows,
    win_win_matrix,
)
from analytics.win_win_report import chain_reports, matrix
from analytics.wording import share_words
from loyalty.models import Business
from promos.demo.sample import is_demo
from promos.segments import Segment
from promos.selectors import chains_between, left_out, with_results
from svoykrug.admin import Scope, staff_scope

PAGE = 50
Report = Callable[..., dict[str, Any]]


def report_urls() -> list[URLPattern]:
    """Return the addresses of the reports, to be mounted under the admin's own."""
    return [
        path("reports/rfm/", admin.site.admin_view(rfm), name="reports_rfm"),
        path("reports/win-win/", admin.site.admin_view(win_win), name="reports_win_win"),
        path(
            "reports/win-win/<uuid:source_id>/<uuid:target_id>/",
            admin.site.admin_view(win_win_pair),
            name="reports_win_win_pair",
        ),
        path("reports/freshness/", admin.site.admin_view(fresh), name="reports_freshness"),
    ]


def report(template: str) -> Callable[[Report], Callable[..., HttpResponse]]:
    """Make a page of a function that returns its context: refuses cashiers, bears ClickHouse being away."""

    def decorate(build: Report) -> Callable[..., HttpResponse]:
        @wraps(build)
        def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            scope = staff_scope(request.user)
            if not scope.reports:
                raise PermissionDenied
            context = {**admin.site.each_context(request), "scope": scope, "as_of": freshness().as_of}
            try:
                context |= build(request, scope, **kwargs)
            except ClickHouseUnavailable:
                context["title"] = gettext("Reports are resting")
                return TemplateResponse(request, "admin/reports/unavailable.html", context, status=503)
            return TemplateResponse(request, f"admin/reports/{template}.html", context)

        return view

    return decorate


@report("freshness")
def fresh(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """How old and how right the analytics is; for those who run the programme."""
    if not scope.is_programme:
        raise PermissionDenied
    return {"title": gettext("Freshness of the reports"), **pipeline_report(at=timezone.now())}


@report("rfm")
def rfm(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """The map of recency and frequency, and the people of a segment below it."""
    businesses = scope.report_business_ids
    segment = request.GET.get("segment", "")
    segment = segment if segment in Segment.values else ""
    number = request.GET.get("page", "")
    # Longer numbers are nobody's page and too long for ClickHouse.
    page_number = max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    picture = rfm_map(businesses)
    context = {
        "title": gettext("Customers"),
        "picture": picture,
        "fewest_buyers": FEWEST_BUYERS,
    }
    if picture.snapshot_date is None:
        return {**context, "nightly": _nightly("calculate_rfm_snapshots")}
    if not picture.cells:
        return context
    page = rfm_rows(businesses, segment=segment, limit=PAGE, offset=PAGE * (page_number - 1))
    context |= {
        "grid": rfm_grid(picture, segment),
        "best": champions(picture),
        "segment": Segment(segment) if segment else None,
        "segments": segment_choices(picture, segment),
        "cuts": rfm_cuts(businesses),
        "page": page,
        "lines": member_lines(page.rows, partners=businesses),
        "page_number": page_number,
        "pages": max(1, -(-page.total // PAGE)),
    }
    if scope.is_programme and (sought := request.GET.get("q", "").strip()):
        context |= {"sought": sought, "found": found_member(sought)}
    return context


def _nightly(task: str) -> str:
    """Return when the task runs, as `02:00`; empty while it is switched off."""
    row = PeriodicTask.objects.filter(task=task, enabled=True).select_related("crontab").first()
    if row is None or row.crontab is None:
        return ""
    hour, minute = row.crontab.hour, row.crontab.minute
    return f"{int(hour):02}:{int(minute):02}" if hour.isdigit() and minute.isdigit() else ""


@report("win_win")
def win_win(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """Whom each partner's coupons bring to which."""
    period = _win_win_period(request)
    cells = win_win_matrix(scope.report_business_ids, start=period.start, end=period.end)
    best = max(cells, key=lambda cell: cell.conversions, default=None)
    names = _names({cell.source_id for cell in cells} | {cell.target_id for cell in cells})
    triggers, conversions = sum(c.triggers for c in cells), sum(c.conversions for c in cells)
    return {
        "title": gettext("Whom neighbours bring"),
        "period": period,
        "period_choices": CHOICES,
        "is_demo": is_demo(),
        "matrix": matrix(cells, names) if cells else None,
        "triggers": triggers,
        "conversions": conversions,
        "rate": share_words(conversions, triggers),
        "best": best and best.conversions and {
            "source": names[best.source_id],
            "target": names[best.target_id],
            "conversions": best.conversions,
        },
    }  # fmt: skip


@report("win_win_pair")
def win_win_pair(request: HttpRequest, scope: Scope, source_id: UUID, target_id: UUID) -> dict[str, Any]:
    """What each chain of one partner for another brought; another's pair is not there."""
    own = scope.report_business_ids
    names = _names({source_id, target_id})
    if len(names) < 2 or (own is not None and not own & {source_id, target_id}):
        raise Http404
    period = _win_win_period(request)
    between = chains_between(own, source_id=source_id, target_id=target_id)
    results = with_results(between, start=period.starts_at, end=period.ends_at)
    chains = list(results.order_by("-conversions", "-triggers", "pk"))
    pair = frozenset({source_id, target_id})
    cells = win_win_matrix(pair if own is None else pair & own, start=period.start, end=period.end)
    cell = next((each for each in cells if (each.source_id, each.target_id) == (source_id, target_id)), None)
    if cell is None and not chains:
        raise Http404
    skipped = left_out([chain.pk for chain in chains], start=period.starts_at, end=period.ends_at)
    outcomes = {chain.chain_id: chain.outcome for chain in cell.chains} if cell else {}
    return {
        "title": f"{names[source_id]} → {names[target_id]}",
        "source": names[source_id],
        "target": names[target_id],
        "period": period,
        "period_choices": CHOICES,
        "is_demo": is_demo(),
        "fewest_per_arm": FEWEST_PER_ARM,
        "reports": chain_reports(chains, outcomes, skipped),
    }


def _win_win_period(request: HttpRequest) -> Period:
    # A year: a comparison gathers its members slowly, and of the last weeks it knows nothing yet.
    return chosen_period(request.GET.get("days", ""), at=timezone.now(), default=CHOICES[-1])


def _names(ids: Collection[UUID]) -> dict[UUID, str]:
    return dict(Business.objects.filter(pk__in=ids).values_list("pk", "name"))
