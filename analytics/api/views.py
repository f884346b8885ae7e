"""Reports for a business's own systems: what the admin's pages show, as data."""

import logging
from collections.abc import Collection, Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.api import examples
from analytics.api.queries import CohortsQuery, NothingQuery, PeriodQuery, period_of
from analytics.api.serializers import CohortsOut, RfmOut, SummaryOut, WinWinOut
from analytics.errors import ClickHouseUnavailable
from analytics.movements import CohortCell, recent_cohorts
from analytics.periods import CHOICES, DEFAULT
from analytics.selectors import RfmCell, freshness, rfm_cuts, rfm_map, summary, win_win_matrix
from loyalty.api.authentication import ApiKeyAuthentication, HasScope, MemberTokenAuthentication
from loyalty.api.base import ApiView
from loyalty.models import ApiKey, Business, Member
from loyalty.services.sessions import is_staff_token
from loyalty.staff import staff_scope
from promos.segments import Segment
from svoykrug.money import ZERO
from svoykrug.schema import describe
from svoykrug.serializers import represented, validated

logger = logging.getLogger(__name__)

CALLERS = [{"ApiKey": []}, {"MemberToken": []}]
# ClickHouse is asked again by then; a till has no report to wait for.
RETRY_SECONDS = 30
SHARE_DIGITS = 4


def answers(serializer: Any, example: dict[str, Any]) -> dict[str, Any]:
    """Describe the one answer of a report, and how it is refused."""
    shown = OpenApiExample("example", example, response_only=True, status_codes=["200"])
    return {
        "answers": {200: serializer},
        "problems": (400, 401, 403),
        "refuses": (ClickHouseUnavailable,),
        "auth": CALLERS,
        "examples": [shown],
    }


class MayReadReports(HasScope):
    """A key with the scope, or an owner or manager signed in by password and second factor."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, Member):
            return super().has_permission(request, view)
        self.message = _("Reports need an API key, or the sign-in of an owner or manager with a password.")
        return is_staff_token(request.auth, request.user) and staff_scope(request.user).reports


class AnalyticsView(ApiView):
    """A report of the caller's businesses; who that is and which these are is said here alone."""

    authentication_classes = (ApiKeyAuthentication, MemberTokenAuthentication)
    permission_classes = (MayReadReports,)
    scopes = {"GET": ApiKey.Scope.ANALYTICS_READ}

    def business_ids(self) -> Collection[UUID] | None:
        """None means all: programme staff. Of a test key it is the sandbox, never seen by ClickHouse."""
        if isinstance(self.request.auth, ApiKey):
            return frozenset({self.request.auth.business.pk})
        return staff_scope(self.request.user).report_business_ids

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, ClickHouseUnavailable):
            # Its own words name our servers.
            logger.warning("A report of the API was refused: %s", error.detail)
            error = ClickHouseUnavailable(
                _("Reports are resting; purchases and bonuses are not touched. Ask again later."),
                retry_after=RETRY_SECONDS,
            )
        return super().handle_exception(error)


class SummaryView(AnalyticsView):
    @describe(
        operation_id="analytics_summary",
        summary="Turnover, purchases, buyers and bonuses of a span of days",
        description="Of the last 90 days, unless `from` and `to` say otherwise; two years are kept.",
        parameters=[PeriodQuery],
        **answers(SummaryOut, examples.SUMMARY),
    )
    def get(self, request: Request) -> Response:
        asked = validated(PeriodQuery, request.query_params.dict())
        period = period_of(asked, at=timezone.now(), days=DEFAULT)
        totals = summary(self.business_ids(), start=period.start, end=period.end)
        answer = {"as_of": freshness().as_of, "period": period, "totals": totals}
        return Response(represented(SummaryOut, answer))


class RfmView(AnalyticsView):
    @describe(
        operation_id="analytics_rfm",
        summary="The business's customers by recency and frequency",
        description="Scored when asked, from purchases here in the 365 days before `snapshot_date`.",
        **answers(RfmOut, examples.RFM),
    )
    def get(self, request: Request) -> Response:
        validated(NothingQuery, request.query_params.dict())
        own = self.business_ids()
        picture = rfm_map(own)
        answer = {
            "as_of": freshness().as_of,
            "snapshot_date": picture.snapshot_date,
            "enough_buyers": picture.enough_buyers,
            "members": picture.members,
            "turnover_rub": picture.turnover_rub,
            "segments": _segments(picture.cells),
            "cells": picture.cells,
            "cuts": rfm_cuts(own) if picture.cells else None,
        }
        return Response(represented(RfmOut, answer))


class CohortsView(AnalyticsView):
    @describe(
        operation_id="analytics_cohorts",
        summary="Of those who came first in a month, who came again in the months after",
        description="Who bought here before, as far as two years back, belongs to the earlier month.",
        parameters=[CohortsQuery],
        **answers(CohortsOut, examples.COHORTS),
    )
    def get(self, request: Request) -> Response:
        months = validated(CohortsQuery, request.query_params.dict())["months"]
        cells = recent_cohorts(self.business_ids(), months=months, at=timezone.now())
        answer = {"as_of": freshness().as_of, "cohorts": _cohorts(cells)}
        return Response(represented(CohortsOut, answer))


class WinWinView(AnalyticsView):
    @describe(
        operation_id="analytics_win_win",
        summary="Whom partners' coupons bring to which, and what would have come anyway",
        description="Of coupons given in the last 365 days, unless `from` and `to` say otherwise.",
        parameters=[PeriodQuery],
        **answers(WinWinOut, examples.WIN_WIN),
    )
    def get(self, request: Request) -> Response:
        asked = validated(PeriodQuery, request.query_params.dict())
        period = period_of(asked, at=timezone.now(), days=CHOICES[-1])
        cells = win_win_matrix(self.business_ids(), start=period.start, end=period.end)
        ids = {cell.source_id for cell in cells} | {cell.target_id for cell in cells}
        partners = {row["pk"]: row for row in Business.objects.filter(pk__in=ids).values("pk", "name")}
        pairs = [
            {
                "source": {"id": cell.source_id, "name": partners[cell.source_id]["name"]},
                "target": {"id": cell.target_id, "name": partners[cell.target_id]["name"]},
                "triggers": cell.triggers,
                "conversions": cell.conversions,
                "rate": None if cell.rate is None else round(cell.rate, SHARE_DIGITS),
                "chains": cell.chains,
            }
            for cell in cells
        ]
        answer = {"as_of": freshness().as_of, "period": period, "pairs": pairs}
        return Response(represented(WinWinOut, answer))


def _segments(cells: Collection[RfmCell]) -> list[dict[str, Any]]:
    """Add the cells up by segment, in the order of Segment."""
    totals: dict[str, tuple[int, Decimal]] = {}
    for cell in cells:
        members, turnover = totals.get(cell.segment, (0, ZERO))
        totals[cell.segment] = members + cell.members, turnover + cell.turnover_rub
    return [
        {"segment": segment, "members": totals[segment][0], "turnover_rub": totals[segment][1]}
        for segment in Segment
        if segment in totals
    ]


def _cohorts(cells: Iterable[CohortCell]) -> list[dict[str, Any]]:
    """Gather the cells, sorted by cohort and month, under their cohorts; each begins with all its members."""
    cohorts = []
    for month, group in groupby(cells, key=lambda cell: cell.month):
        later = list(group)
        size = later[0].members
        cohorts.append({
            "month": month,
            "members": size,
            "later": [
                {
                    "months_later": cell.months_later,
                    "members": cell.members,
                    "share": round(cell.members / size, SHARE_DIGITS),
                    "turnover_rub": cell.turnover_rub,
                }
                for cell in later
            ],
        })  # fmt: skip
    return cohorts
