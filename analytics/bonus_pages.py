"""What members hold, and what becomes of the bonuses given."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from analytics.liability import Breakage, Held, breakage, liability
from analytics.periods import Period, oldest_kept
from analytics.report_forms import OneDay
from analytics.report_page import report
from analytics.tables import Column, Kind, Table, share_shown
from analytics.templatetags.roubles import whole_rub
from loyalty.models import Business
from loyalty.staff import Scope
from loyalty.templatetags.money import bonus_words, grouped
from svoykrug.charts import LineChart, draw_bars, draw_lines
from svoykrug.money import ZERO, round_half_up

# Whole months from which a lot may lapse within the next quarter of a year.
OLD_MONTHS = 9
AGES = ((0, 2), (3, 5), (6, 8), (9, None))
SPANS = ("known", "latest")


@report("liability")
def liability_page(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """Bonuses that members hold, by who gave them and by age."""
    today = timezone.localdate()
    form = OneDay({"on": request.GET.get("on", today.isoformat())}, today=today)
    context: dict[str, Any] = {"title": gettext("Bonuses that members hold"), "form": form}
    if not form.is_valid():
        return context
    on = form.cleaned_data["on"]
    held = liability(scope.report_business_ids, on=on)
    context |= {"on": on, "empty": not held}
    if not held:
        return context
    total = sum((each.bonuses for each in held), ZERO)
    old = sum((each.bonuses for each in held if each.months_old >= OLD_MONTHS), ZERO)
    issuers = Business.objects.in_bulk({each.issuer_id for each in held})
    oldest = max(each.months_old for each in held)
    by_age = {
        age: sum((each.bonuses for each in held if each.months_old == age), ZERO) for age in range(oldest + 1)
    }
    debt = _in_roubles(held, issuers)
    return context | {
        "finding": gettext("Members hold %(all)s, %(share)s of them given %(months)s months ago or earlier")
        % {"all": bonus_words(_whole(total)), "share": share_shown(old / total), "months": OLD_MONTHS},
        "figures": [
            (gettext("Bonuses held"), grouped(_whole(total)), ""),
            (gettext("Worth at the issuers' price"), whole_rub(sum(debt.values(), ZERO)), ""),
            (
                gettext("Given %(months)s months ago or earlier") % {"months": OLD_MONTHS},
                grouped(_whole(old)),
                "",
            ),
        ],
        "chart": draw_bars((str(age), _whole(bonuses), True) for age, bonuses in by_age.items()),
        "tables": {"liability": _liability_table(held, issuers, debt), "ages": _ages_table(by_age, total)},
    }


def _in_roubles(held: Sequence[Held], issuers: Mapping[UUID, Business]) -> dict[UUID, Decimal]:
    """Return what each issuer owes for what is held, at its own price of a bonus."""
    sums: dict[UUID, Decimal] = {}
    for each in held:
        sums[each.issuer_id] = sums.get(each.issuer_id, ZERO) + each.bonuses
    return {
        issuer: round_half_up(bonuses * (issuers[issuer].point_price_rub if issuer in issuers else 1))
        for issuer, bonuses in sums.items()
    }


def _liability_table(
    held: Sequence[Held], issuers: Mapping[UUID, Business], debt: Mapping[UUID, Decimal]
) -> Table:
    def of(issuer: UUID, low: int, high: int | None) -> Decimal:
        return sum(
            (
                each.bonuses
                for each in held
                if each.issuer_id == issuer
                and low <= each.months_old
                and (high is None or each.months_old <= high)
            ),
            ZERO,
        )

    titles = [
        gettext("%(low)s–%(high)s months") % {"low": low, "high": high} if high is not None
        else gettext("%(low)s months and more") % {"low": low}
        for low, high in AGES
    ]  # fmt: skip
    rows = [
        (
            issuers[issuer].name if issuer in issuers else gettext("Unknown"),
            *(of(issuer, low, high) for low, high in AGES),
            of(issuer, 0, None),
            debt[issuer],
        )
        for issuer in debt
    ]
    return Table(
        "liability",
        (
            Column(gettext("Given by")),
            *(Column(title, Kind.RUB) for title in titles),
            Column(gettext("Together"), Kind.RUB),
            Column(gettext("Worth, ₽"), Kind.RUB),
        ),
        tuple(sorted(rows, key=lambda row: -row[-1])),
    )


def _ages_table(by_age: Mapping[int, Decimal], total: Decimal) -> Table:
    return Table(
        "ages",
        (
            Column(gettext("Whole months since given")),
            Column(gettext("Bonuses"), Kind.RUB),
            Column(gettext("Share"), Kind.SHARE),
        ),
        tuple((age, bonuses, bonuses / total) for age, bonuses in by_age.items()),
    )


@report("breakage")
def breakage_page(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    """The curve of what became of bonuses, month after month since they were given."""
    spans = _spans(timezone.localdate())
    asked = request.GET.get("given", "")
    context: dict[str, Any] = {"title": gettext("What becomes of bonuses")}
    chosen = asked if asked in SPANS else SPANS[0]
    found = breakage(scope.report_business_ids, start=spans[chosen].start, end=spans[chosen].end)
    if not asked and not found.given:
        # A young programme has given nothing a year ago: what it gave since says something at least.
        chosen = SPANS[1]
        found = breakage(scope.report_business_ids, start=spans[chosen].start, end=spans[chosen].end)
    context |= {"given": chosen, "period": spans[chosen], "empty": not found.given}
    if not found.given:
        return context
    shares = _shares(found)
    last = shares[-1]
    return context | {
        "finding": gettext("Of 100 bonuses given %(spent)s were spent and %(lapsed)s lapsed")
        % {"spent": _hundredth(last[1]), "lapsed": _hundredth(last[2])},
        "figures": [
            (gettext("Given"), grouped(_whole(found.given)), ""),
            (gettext("Spent"), share_shown(last[1]), ""),
            (gettext("Lapsed"), share_shown(last[2]), _of_kept(found)),
            (gettext("Taken back by refunds"), share_shown(last[3]), ""),
        ],
        "chart": _breakage_chart(shares),
        "tables": {"breakage": _breakage_table(shares)},
    }


def _spans(today: date) -> dict[str, Period]:
    """Return the days on which the bonuses were given whose end is known by now, and the days since."""
    settled = today - timedelta(days=settings.LOT_LIFETIME_DAYS)
    oldest = timezone.localdate(oldest_kept(timezone.now())) + timedelta(days=1)
    return {"known": Period(oldest, settled), "latest": Period(settled, today + timedelta(days=1))}


def _shares(found: Breakage) -> list[tuple[int, Decimal, Decimal, Decimal]]:
    """Return months, spent, lapsed and taken back as parts of what was given, months without change too."""
    shares: list[tuple[int, Decimal, Decimal, Decimal]] = []
    for point in found.curve:
        while shares and shares[-1][0] < point.months_later - 1:
            shares.append((shares[-1][0] + 1, *shares[-1][1:]))
        sums = (point.redeemed, point.expired, point.taken_back)
        spent, lapsed, back = (each / found.given for each in sums)
        shares.append((point.months_later, spent, lapsed, back))
    return shares


def _breakage_chart(shares: Sequence[tuple[int, Decimal, Decimal, Decimal]]) -> LineChart:
    names = (gettext("Spent"), gettext("Lapsed"), gettext("Taken back by refunds"))
    columns = zip(*(row[1:] for row in shares), strict=True)
    return draw_lines(zip(names, columns, strict=True), [str(row[0]) for row in shares])


def _breakage_table(shares: Sequence[tuple[int, Decimal, Decimal, Decimal]]) -> Table:
    return Table(
        "breakage",
        (
            Column(gettext("Whole months since given")),
            Column(gettext("Spent"), Kind.SHARE),
            Column(gettext("Lapsed"), Kind.SHARE),
            Column(gettext("Taken back by refunds"), Kind.SHARE),
            Column(gettext("Still held"), Kind.SHARE),
        ),
        tuple(
            (month, spent, lapsed, back, 1 - spent - lapsed - back) for month, spent, lapsed, back in shares
        ),
    )


def _of_kept(found: Breakage) -> str:
    if (share := found.expired_percent) is None:
        return ""
    return gettext("%(share)s of what was not taken back") % {"share": share_shown(share / 100)}


def _hundredth(share: Decimal) -> str:
    return grouped(Decimal(round(100 * share)))


def _whole(bonuses: Decimal) -> Decimal:
    return bonuses.quantize(Decimal(1))
