"""The first page of the admin: how the period went, next to the one before."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext, pgettext

from analytics.charts import BarChart, bar_chart, step_of
from analytics.errors import ClickHouseUnavailable
from analytics.periods import CHOICES, Period, chosen_period
from analytics.selectors import Step, Summary, freshness, summary, turnover_by
from analytics.wording import share_words
from loyalty.models import ParkedRefund
from loyalty.staff import staff_scope
from loyalty.templatetags.money import MINUS, grouped, percent, rub, whole
from promos.demo.sample import is_demo
from promos.models import CrossPromoChain
from promos.selectors import chains_between, coupon_counts, with_results

CHAINS_SHOWN = 6


@dataclass(frozen=True)
class Figure:
    """A number with its name; `change` against the period before, with its sign, and its tone."""

    label: str
    value: str
    before: str = ""
    change: str = ""
    tone: str = ""
    note: str = ""


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill the first page; cashiers get none of the numbers."""
    scope = staff_scope(request.user)
    if not scope.reports:
        return {**context, "reports": False}
    now = timezone.now()
    period = chosen_period(request.GET.get("days", ""), at=now)
    context |= {
        "title": gettext("How things are going"),
        "reports": True,
        "period": period,
        "period_choices": CHOICES,
        "as_of": freshness().as_of,
        "is_demo": is_demo(),
        "chains": _chains(scope.report_business_ids, period),
        "coupons": _coupons(scope.report_business_ids, period),
        "overdue_refunds": _overdue_refunds(scope.report_business_ids, at=now),
    }
    try:
        context |= _numbers(scope.report_business_ids, period)
    except ClickHouseUnavailable:
        context["analytics_down"] = True
    return context


def _overdue_refunds(business_ids: Collection[UUID] | None, *, at: datetime) -> str:
    """Say how many refunds have waited too long for their purchase; nothing if none has."""
    refunds = ParkedRefund.objects.overdue(at)
    if business_ids is not None:
        refunds = refunds.filter(business__in=business_ids)
    else:
        refunds = refunds.filter(business__is_sandbox=False)
    if not (count := refunds.count()):
        return ""
    return ngettext(
        "%(count)d refund has waited for its purchase for over %(days)d days.",
        "%(count)d refunds have waited for their purchases for over %(days)d days.",
        count,
    ) % {"count": count, "days": settings.PARKED_REFUND_DAYS}


def _numbers(business_ids: Collection[UUID] | None, period: Period) -> dict[str, Any]:
    now = summary(business_ids, start=period.start, end=period.end)
    before = summary(business_ids, start=period.before.start, end=period.before.end)
    step = step_of(period)
    chart = bar_chart(turnover_by(step, business_ids, start=period.start, end=period.end), period)
    return {
        "figures": _figures(now, before),
        "nothing_yet": not now.purchases,
        "chart": chart,
        "chart_title": _chart_title(now, before, period),
        "chart_note": _chart_note(chart, step),
        "chart_unit": _unit(step),
    }


def _figures(now: Summary, before: Summary) -> list[Figure]:
    share, share_before = _share(now), _share(before)
    return [
        _figure(gettext("Turnover, net of refunds"), now.turnover_rub, before.turnover_rub, rub),
        _figure(gettext("Purchases"), now.purchases, before.purchases, grouped),
        _figure(gettext("Buyers"), now.buyers, before.buyers, grouped),
        Figure(
            label=gettext("Came back at least once"),
            value=percent(share) if now.buyers else "—",
            before=percent(share_before) if before.buyers else "",
            **_points(share - share_before) if now.buyers and before.buyers else {},
            note=gettext("%(repeat)s of %(all)s buyers")
            % {"repeat": grouped(Decimal(now.repeat_buyers)), "all": grouped(Decimal(now.buyers))},
        ),
        # More bonuses are neither good nor bad by themselves.
        _figure(gettext("Bonuses given"), now.bonus_accrued, before.bonus_accrued, whole, tone="quiet"),
    ]


def _figure(label: str, now: Any, before: Any, words: Any, tone: str = "") -> Figure:
    now, before = Decimal(now), Decimal(before)
    # Kopecks of a year's turnover only stand in the way.
    value = words(now.quantize(Decimal(1)))
    if before <= 0:
        return Figure(label, value)
    change = round((now / before - 1) * 100)
    return Figure(
        label,
        value,
        before=words(before.quantize(Decimal(1))),
        change=_signed(percent(Decimal(abs(change))), change),
        tone=tone or _tone(change),
    )


def _points(difference: Decimal) -> dict[str, str]:
    change = int(difference)
    # Translators: percentage points, as in "+3 pp".
    words = gettext("%(number)s pp") % {"number": abs(change)}
    return {"change": _signed(words, change), "tone": _tone(change)}


def _signed(text: str, change: int) -> str:
    return {True: "+", False: MINUS}[change > 0] + text if change else text


def _tone(change: int) -> str:
    return "quiet" if not change else "gain" if change > 0 else "loss"


def _share(totals: Summary) -> Decimal:
    return Decimal(round(100 * totals.repeat_buyers / totals.buyers)) if totals.buyers else Decimal(0)


def _chart_title(now: Summary, before: Summary, period: Period) -> str:
    if before.turnover_rub <= 0:
        return gettext("Turnover came to %(sum)s") % {"sum": rub(now.turnover_rub.quantize(Decimal(1)))}
    change = round((now.turnover_rub / before.turnover_rub - 1) * 100)
    against = {"percent": percent(Decimal(abs(change))), "days": period.days}
    if not change:
        return gettext("Turnover is the same as in the %(days)s days before") % against
    if change > 0:
        return gettext("Turnover grew by %(percent)s against the %(days)s days before") % against
    return gettext("Turnover fell by %(percent)s against the %(days)s days before") % against


def _chart_note(chart: BarChart, step: Step) -> str:
    if chart.best is None:
        return ""
    best = {"span": chart.best.label, "sum": rub(chart.best.value.quantize(Decimal(1)))}
    if step is Step.DAY:
        return gettext("The best day was %(span)s: %(sum)s.") % best
    if step is Step.WEEK:
        return gettext("The best week was %(span)s: %(sum)s.") % best
    return gettext("The best month was %(span)s: %(sum)s.") % best


def _unit(step: Step) -> str:
    return {
        Step.DAY: pgettext("turnover", "by day"),
        Step.WEEK: pgettext("turnover", "by week"),
        Step.MONTH: pgettext("turnover", "by month"),
    }[step]


def _coupons(business_ids: Collection[UUID] | None, period: Period) -> Figure:
    counts = coupon_counts(business_ids, start=period.starts_at, end=period.ends_at)
    return Figure(
        label=gettext("Coupons issued → redeemed"),
        value=f"{grouped(Decimal(counts.issued))} → {grouped(Decimal(counts.redeemed))}",
        note=gettext("%(share)s were redeemed") % {"share": share_words(counts.redeemed, counts.issued)},
    )


def _chains(business_ids: Collection[UUID] | None, period: Period) -> list[CrossPromoChain]:
    active = chains_between(business_ids).filter(status=CrossPromoChain.Status.ACTIVE)
    results = with_results(active, start=period.starts_at, end=period.ends_at)
    chains = list(results.order_by("-conversions", "-triggers", "pk")[:CHAINS_SHOWN])
    for chain in chains:
        chain.rate = share_words(chain.conversions, chain.triggers)
    return chains
