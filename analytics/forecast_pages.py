"""Who will come back: the page of the nightly forecasts."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest
from django.utils.translation import gettext, ngettext

from analytics.forecast_selectors import First, Foretold, Step, first_people, forecasts_of, steps
from analytics.models import ForecastRun
from analytics.people import Person, people
from analytics.report_page import report
from analytics.schedule import nightly
from analytics.tables import Column, Kind, Table, share_shown
from analytics.templatetags.roubles import whole_rub
from analytics.wording import tenths
from loyalty.staff import Scope
from loyalty.templatetags.money import grouped, percent
from svoykrug.charts import BarChart, draw_bars

FEWEST_REPEAT_BUYERS = 50  # repeat_buying.py says so too, but must not be imported by the web.
STEPS = 10
SHOWN = 50
SUREST = 0.99


@dataclass(frozen=True)
class PersonLine:
    """A person of the list."""

    who: Person
    row: Foretold

    @property
    def chance(self) -> str:
        # Nobody is sure to come.
        return share_shown(min(self.row.return_chance, SUREST))

    @property
    def purchases(self) -> str:
        return tenths(self.row.expected_purchases)


@report("forecast")
def forecast_page(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """Chance of return and expected value, of one business or of the programme."""
    runs = forecasts_of(scope.report_business_ids)
    run = _chosen(runs, request.GET.get("business", ""))
    context: dict[str, Any] = {
        "title": gettext("Who will come back"),
        "runs": runs,
        "run": run,
        "nightly": nightly("forecast_customers"),
        "fewest": FEWEST_REPEAT_BUYERS,
    }
    if run is None:
        return context
    if not (counted := steps(run)):
        return context | {"run": run, "lacking": True}
    first = request.GET.get("first", "")
    first = First(first) if first in set(First) else First.VALUE
    # The programme looks at all; a partner at its own customers, as each agreed to be known to it.
    partners = None if scope.is_programme else {run.business_id} if run.business_id else set()
    shown = first_people(run, first, limit=SHOWN)
    known = people([each.member_id for each in shown], partners=partners)
    lines = [PersonLine(known[each.member_id], each) for each in shown]
    back = round(sum(step.expected_back for step in counted))
    members = sum(step.members for step in counted)
    return context | {
        "figures": _figures(counted, back, members),
        "finding": ngettext(
            "About %(back)s of %(count)s customer will come back within %(days)s days",
            "About %(back)s of %(count)s customers will come back within %(days)s days",
            members,
        )
        % {"back": grouped(Decimal(back)), "count": grouped(Decimal(members)), "days": run.horizon_days},
        "chart": _chart(counted),
        "first": first,
        "lines": lines,
        "tables": {"steps": _steps_table(counted), "people": _people_table(lines)},
    }


def _chosen(runs: list[ForecastRun], business: str) -> ForecastRun | None:
    """Return the run asked for, or the first with something to tell; another's business is not there."""
    if not business:
        return next((run for run in runs if run.is_ready), runs[0] if runs else None)
    for run in runs:
        if str(run.business_id or "all") == business:
            return run
    raise Http404


def _figures(counted: tuple[Step, ...], back: int, members: int) -> list[tuple[str, str, str]]:
    purchases = sum(step.expected_purchases for step in counted)
    value = sum((step.expected_rub for step in counted), Decimal(0))
    return [
        (
            gettext("Will come back"),
            grouped(Decimal(back)),
            gettext("%(share)s of customers") % {"share": share_shown(back / members)},
        ),
        (gettext("Expected visits"), grouped(Decimal(round(purchases))), ""),
        (
            gettext("Expected turnover"),
            whole_rub(value),
            gettext("%(sum)s per customer") % {"sum": whole_rub(value / members)},
        ),
    ]


def _chart(counted: tuple[Step, ...]) -> BarChart:
    members = {step.number: step.members for step in counted}
    return draw_bars((step_words(number), Decimal(members.get(number, 0)), True) for number in range(STEPS))


def step_words(number: int) -> str:
    return f"{10 * number}–{percent(Decimal(10 * number + 10))}"


def _steps_table(counted: tuple[Step, ...]) -> Table:
    return Table(
        "steps",
        (
            Column(gettext("Chance of return")),
            Column(gettext("Customers"), Kind.COUNT),
            Column(gettext("Of them will come"), Kind.ESTIMATE),
            Column(gettext("Expected visits"), Kind.ESTIMATE),
            Column(gettext("Expected turnover, ₽"), Kind.RUB),
        ),
        tuple(
            (
                step_words(step.number), step.members, step.expected_back, step.expected_purchases,
                step.expected_rub,
            )
            for step in counted
        ),
    )  # fmt: skip


def _people_table(lines: list[PersonLine]) -> Table:
    return Table(
        "people",
        (
            Column(gettext("Who")),
            Column(gettext("Contact")),
            Column(gettext("Chance of return"), Kind.SHARE),
            Column(gettext("Expected visits"), Kind.ESTIMATE),
            Column(gettext("Expected turnover, ₽"), Kind.RUB),
            Column(gettext("Days since"), Kind.COUNT),
            Column(gettext("Visits"), Kind.COUNT),
            Column(gettext("Spent, ₽"), Kind.RUB),
        ),
        tuple(
            (
                line.who.name, line.who.contact, line.row.return_chance, line.row.expected_purchases,
                line.row.expected_rub, line.row.silent_days, line.row.purchase_days, line.row.spent_rub,
            )
            for line in lines
        ),
    )  # fmt: skip
