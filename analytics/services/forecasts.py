"""What is expected of each customer: read from ClickHouse, fitted here, stored beside the picture before.

Rows of a calculation are not shown until its runs stand in PostgreSQL, all in one transaction: a reader
meets the old picture or the new one, whole, whatever dies in between.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Max
from django.db.transaction import atomic
from django.utils import timezone

from analytics.clickhouse.client import WORK_LIMITS, Connection
from analytics.clickhouse.queries import NOBODY, local_days, milliseconds, read_query, scope
from analytics.clickhouse.tables import connect_to_work
from analytics.models import ForecastRun
from analytics.periods import oldest_kept
from analytics.selectors import freshness
from loyalty.models import Business

from .locks import only_one

if TYPE_CHECKING:
    from analytics.repeat_buying import Histories

log = logging.getLogger(__name__)

HORIZON_DAYS = 90
DAYS_A_WEEK = 7
STORE = (
    "INSERT INTO customer_forecasts (business_id, user_id, purchase_days, silent_days, spent, return_chance,"
    " expected_purchases, purchase_value, expected_value, calculated_at) VALUES"
)


@dataclass(frozen=True)
class Buyers:
    """The columns of `purchase_histories`: a member, local days, and roubles as they came."""

    member_ids: Sequence[UUID]
    purchase_days: Sequence[int]
    last_days: Sequence[int]
    age_days: Sequence[int]
    spent_rub: Sequence[Any]
    repeated_rub: Sequence[Any]


def forecast_customers(*, until: date, at: datetime) -> list[ForecastRun] | None:
    """Foretell the next 90 days of every customer, of the programme and of each of its businesses.

    until  purchases on local days before it are looked at, as far back as facts are kept
    at     the moment of calculation, later than the one before; its rows take that one's place

    A business with too few who came back gets a run without parameters, which says so. Return None when
    another calculation is under way. Raises ClickHouseUnavailable, and then the picture before stands.
    """
    with only_one("forecasts") as got:
        if not got:
            return None
        # ClickHouse keeps milliseconds; the run must name its rows exactly.
        at = at.replace(microsecond=at.microsecond // 1000 * 1000).astimezone(UTC)
        as_of = freshness().as_of
        businesses = Business.objects.filter(is_programme=False).order_by("pk").values_list("pk", flat=True)
        with connect_to_work() as clickhouse:
            runs = [
                _forecast(clickhouse, business_id, until=until, at=at, as_of=as_of)
                for business_id in (None, *businesses)
            ]
            replaced = _show(runs)
            # Not those just replaced: a page may have read their runs a moment ago.
            _forget_before(clickhouse, replaced or at)
        ready = sum(run.is_ready for run in runs)
        log.info("Forecast from %s: %d customers, %d pictures.", until, runs[0].customers, ready)
        return runs


def _forecast(
    clickhouse: Connection, business_id: UUID | None, *, until: date, at: datetime, as_of: datetime | None
) -> ForecastRun:
    """Store the rows of one scope and return its run, not yet stored."""
    # Here and not above: NumPy and SciPy are 60 MB that no web process needs.
    from analytics.repeat_buying import NotEnoughData, fit_bg_nbd, fit_gamma_gamma

    buyers = _buyers(clickhouse, business_id, until=until, at=at)
    run = ForecastRun(
        business_id=business_id, until=until, calculated_at=at, horizon_days=HORIZON_DAYS, as_of=as_of,
        customers=len(buyers.member_ids), repeat_buyers=sum(days > 1 for days in buyers.purchase_days),
    )  # fmt: skip
    past = _histories(buyers)
    try:
        timing, spending = fit_bg_nbd(past), fit_gamma_gamma(past)
    except NotEnoughData:
        return run
    weeks = HORIZON_DAYS / DAYS_A_WEEK
    purchases, value = timing.expected_purchases(past, weeks=weeks), spending.expected_rub(past)
    number = len(buyers.member_ids)
    clickhouse.insert(
        STORE,
        [
            [business_id or NOBODY] * number,
            buyers.member_ids,
            buyers.purchase_days,
            [age - last + 1 for age, last in zip(buyers.age_days, buyers.last_days, strict=True)],
            buyers.spent_rub,
            timing.chance_of_return(past, weeks=weeks).tolist(),
            purchases.tolist(),
            value.round(2).tolist(),
            (purchases * value).round(2).tolist(),
            [at] * number,
        ],
    )
    run.timing = [timing.r, timing.alpha, timing.a, timing.b]
    run.spending = [spending.p, spending.q, spending.gamma]
    run.log_likelihood = timing.log_likelihood
    return run


def _buyers(clickhouse: Connection, business_id: UUID | None, *, until: date, at: datetime) -> Buyers:
    params = {
        **local_days(timezone.localdate(oldest_kept(at)), until),
        **scope(None if business_id is None else [business_id]),
        "on": until.isoformat(),
    }
    columns = clickhouse.columns(read_query("purchase_histories"), params)
    return Buyers(*columns) if columns else Buyers(*([],) * 6)


def _histories(buyers: Buyers) -> "Histories":
    import numpy as np

    from analytics.repeat_buying import Histories

    repeats = np.array(buyers.purchase_days, dtype=float) - 1
    return Histories(
        repeats=repeats,
        last_weeks=np.array(buyers.last_days, dtype=float) / DAYS_A_WEEK,
        age_weeks=np.array(buyers.age_days, dtype=float) / DAYS_A_WEEK,
        mean_rub=np.array(buyers.repeated_rub, dtype=float) / np.maximum(repeats, 1),
    )


@atomic
def _show(runs: Collection[ForecastRun]) -> datetime | None:
    """Let pages read these runs, and return the moment of those whose place they take."""
    replaced: datetime | None = ForecastRun.objects.aggregate(at=Max("calculated_at"))["at"]
    ForecastRun.objects.all().delete()
    ForecastRun.objects.bulk_create(runs)
    return replaced


def _forget_before(clickhouse: Connection, at: datetime) -> None:
    clickhouse.run(
        "DELETE FROM customer_forecasts WHERE calculated_at < toDateTime64(%(at)s, 3, 'UTC')",
        {"at": milliseconds(at)},
        limits=WORK_LIMITS,
    )
