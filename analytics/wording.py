"""Numbers of reports in the words of a shop owner."""

from collections.abc import Mapping
from decimal import Decimal

from django.utils.formats import get_format
from django.utils.translation import gettext, ngettext

from analytics.comparison import FEWEST_PER_ARM, FEWEST_PER_CELL, Arm, Lacking, Outcome, Uplift
from analytics.intervals import Interval
from analytics.templatetags.roubles import whole_rub
from loyalty.templatetags.money import grouped, percent
from promos.models import ChainAssignment


def share_words(part: int, total: int) -> str:
    """Return `25 %`, or a dash where there is nothing to take a share of."""
    return percent(Decimal(round(100 * part / total))) if total else "—"


def arms_words(outcome: Outcome) -> str:
    """Return who came with a coupon and who without: of a hundred each, or as counted while they are few."""
    treated, control = outcome.treated, outcome.control
    if outcome.lacking is Lacking.MEMBERS:
        words = gettext("Of %(all)s with a coupon %(came)s came") % _counted(treated)
        if control.members:
            words += ", " + gettext("without one, %(came)s of %(all)s") % _counted(control)
        return f"{words}."
    return gettext("Of 100 who got the coupon %(treated)s came; of 100 who got none %(control)s came.") % {
        "treated": grouped(_plain(100 * treated.share)),
        "control": grouped(_plain(100 * control.share)),
    }


def visits_words(uplift: Uplift) -> str:
    """Return what the coupon did to visits, with the interval per hundred members."""
    visits = uplift.visits.times(100)
    if visits.low > 0:
        return gettext(
            "The coupon brought between %(low)s and %(high)s more visits per 100 members."
        ) % _between(visits.low, visits.high)
    if visits.high < 0:
        return gettext(
            "With the coupon there were between %(low)s and %(high)s fewer visits per 100 members."
        ) % _between(-visits.high, -visits.low)
    return gettext(
        "It may be chance: per 100 members the coupon brought anything from %(low)s fewer visits"
        " to %(high)s more."
    ) % _between(-visits.low, visits.high)


def spending_words(uplift: Uplift) -> str:
    """Return what the coupon did to spending, with the interval in roubles per member."""
    revenue = uplift.revenue
    if revenue.low > 0:
        return gettext("A member with a coupon spent between %(low)s and %(high)s more there.") % {
            "low": whole_rub(_plain(revenue.low)),
            "high": whole_rub(_plain(revenue.high)),
        }
    if revenue.high < 0:
        return gettext("A member with a coupon spent between %(low)s and %(high)s less there.") % {
            "low": whole_rub(_plain(-revenue.high)),
            "high": whole_rub(_plain(-revenue.low)),
        }
    return gettext(
        "Spending cannot be told from chance yet: from %(low)s less to %(high)s more per member."
    ) % {"low": whole_rub(_plain(-revenue.low)), "high": whole_rub(_plain(revenue.high))}


def lacking_words(outcome: Outcome) -> str:
    """Return what is missing before the arms may be compared; empty if nothing is."""
    if outcome.lacking is Lacking.MEMBERS:
        smaller = min(outcome.control, outcome.treated, key=lambda arm: arm.members)
        count = {"count": grouped(Decimal(smaller.members)), "needed": FEWEST_PER_ARM}
        if smaller is outcome.control:
            return gettext("Not enough data yet: %(count)s of %(needed)s members without a coupon.") % count
        return gettext("Not enough data yet: %(count)s of %(needed)s members with a coupon.") % count
    if outcome.lacking is Lacking.CELL:
        return gettext(
            "Not enough data yet: in each group at least %(needed)s must have come, and as many not."
        ) % {"needed": FEWEST_PER_CELL}
    return ""


def open_words(count: int, days: int) -> str:
    """Say whom the comparison leaves out for now; empty where nobody is."""
    if not count:
        return ""
    return ngettext(
        "%(count)s member more is not counted yet: %(days)s days after the purchase are not over.",
        "%(count)s members more are not counted yet: %(days)s days after the purchase are not over.",
        count,
    ) % {"count": grouped(Decimal(count)), "days": days}


def left_out_words(counts: Mapping[str, int]) -> str:
    """Say how many purchases drew no lot, and why; empty where none."""
    if not counts:
        return ""
    reasons = "; ".join(
        f"{ChainAssignment.Reason(reason).label} — {grouped(Decimal(count))}"
        for reason, count in counts.items()
    )
    return gettext("Purchases that drew no lot: %(reasons)s.") % {"reasons": reasons}


def gain_words(uplift: Uplift | None) -> str:
    """Return the extra visits per hundred as a cell shows them: `+5 (1…9)`."""
    if uplift is None:
        return ""
    visits = uplift.visits.times(100)
    low, high = _ends(visits.low, visits.high)
    return f"{_signed(visits.estimate)} ({low}…{high})"


def roubles_words(interval: Interval) -> str:
    """Return a sum that was estimated: `+5 300 ₽`."""
    return ("+" if round(interval.estimate) > 0 else "") + whole_rub(_plain(interval.estimate))


def between_words(interval: Interval) -> str:
    """Return the ends of an estimated sum."""
    return gettext("between %(low)s and %(high)s") % {
        "low": whole_rub(_plain(interval.low)),
        "high": whole_rub(_plain(interval.high)),
    }


def _counted(arm: Arm) -> dict[str, str]:
    return {"all": grouped(Decimal(arm.members)), "came": grouped(Decimal(arm.visits))}


def _between(low: float, high: float) -> dict[str, str]:
    return dict(zip(("low", "high"), _ends(low, high), strict=True))


def _ends(low: float, high: float) -> tuple[str, str]:
    """Round to whole ones; to tenths what is below one, or both where they would read the same."""
    if round(low) == round(high):
        return tenths(low), tenths(high)
    return _short(low), _short(high)


def _short(number: float) -> str:
    return tenths(number) if abs(number) < 1 else grouped(_plain(number))


def tenths(number: float) -> str:
    """Return `1`, or `1,2` where there is something after the point."""
    # `grouped` writes kopecks, of which the second digit says nothing here.
    text = grouped(Decimal(round(10 * number)) / 10)
    return text.removesuffix("0") if get_format("DECIMAL_SEPARATOR") in text else text


def _plain(number: float) -> Decimal:
    return Decimal(round(number))


def _signed(number: float) -> str:
    return ("+" if round(number) > 0 else "") + grouped(_plain(number))
