"""Reports of the admin: who the customers are (RFM), and whom partners bring to each other (win-win)."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext

from analytics.bonus_pages import breakage_page, liability_page
from analytics.comparison import FEWEST_PER_ARM
from analytics.forecast_pages import forecast_page
from analytics.movement_pages import cohorts_page, segments_page
from analytics.periods import CHOICES, Period, chosen_period
from analytics.pipeline_report import pipeline_report
from analytics.report_page import report
from analytics.rfm_report import champions, found_member, member_lines, rfm_grid, segment_choices
from analytics.schedule import nightly
from analytics.selectors import (
    FEWEST_BUYERS,
    rfm_cuts,
    rfm_map,
    rfm_rows,
    win_win_matrix,
)
from analytics.win_win_report import chain_reports, matrix
from analytics.wording import share_words
from loyalty.models import Business
from loyalty.staff import Scope
from promos.demo.sample import is_demo
from promos.segments import Segment
from promos.selectors import chains_between, left_out, with_results

PAGE = 50


def report_urls() -> list[URLPattern]:
    """Return the addresses of the reports, to be mounted under the admin's own."""
    return [
        path("reports/rfm/", admin.site.admin_view(rfm), name="reports_rfm"),
        path("reports/returns/", admin.site.admin_view(forecast_page), name="reports_forecast"),
        path("reports/cohorts/", admin.site.admin_view(cohorts_page), name="reports_cohorts"),
        path("reports/segments/", admin.site.admin_view(segments_page), name="reports_segments"),
        path("reports/liability/", admin.site.admin_view(liability_page), name="reports_liability"),
        path("reports/breakage/", admin.site.admin_view(breakage_page), name="reports_breakage"),
        path("reports/win-win/", admin.site.admin_view(win_win), name="reports_win_win"),
        path(
            "reports/win-win/<uuid:source_id>/<uuid:target_id>/",
            admin.site.admin_view(win_win_pair),
            name="reports_win_win_pair",
        ),
        path("reports/freshness/", admin.site.admin_view(fresh), name="reports_freshness"),
    ]


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
        return {**context, "nightly": nightly("calculate_rfm_snapshots")}
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
