"""Numbers of reports in the words of a shop owner."""

from decimal import Decimal

from django.utils.translation import gettext, ngettext

from analytics.comparison import Lift
from analytics.selectors import MatrixCell
from loyalty.templatetags.money import grouped, percent


def share_words(part: int, total: int) -> str:
    """Return `25 %`, or a dash where there is nothing to take a share of."""
    return percent(Decimal(round(100 * part / total))) if total else "—"


def arms_words(cell: MatrixCell) -> str:
    """Return who came with a coupon and who without: "Of 120 with a coupon 30 came (25%)…"."""
    treated = gettext("Of %(all)s with a coupon %(came)s came (%(share)s)") % _arm(
        cell.treated, cell.treated_visits
    )
    if not cell.control:
        return treated + "."
    control = gettext("without one, %(came)s of %(all)s (%(share)s)") % _arm(
        cell.control, cell.control_visits
    )
    return f"{treated}, {control}."


def lift_words(lift: Lift | None) -> str:
    """Return what the comparison says, with its interval in people of a hundred."""
    if lift is None:
        return gettext("It is too early to say: for that each group needs a hundred people or more.")
    number = abs(round(lift.per_hundred))
    # Translators: how many of every hundred; the interval follows.
    span = gettext("(most likely between %(low)s and %(high)s)") % {
        "low": _whole(lift.low),
        "high": _whole(lift.high),
    }
    if not lift.is_certain or not number:
        return gettext("No difference that chance could not explain %(span)s.") % {"span": span}
    if lift.per_hundred > 0:
        words = ngettext(
            "Of every hundred, the coupon brings %(number)s person more %(span)s.",
            "Of every hundred, the coupon brings %(number)s people more %(span)s.",
            number,
        )
    else:
        words = ngettext(
            "Of every hundred, %(number)s person fewer comes with the coupon %(span)s.",
            "Of every hundred, %(number)s people fewer come with the coupon %(span)s.",
            number,
        )
    return words % {"number": number, "span": span}


def _arm(everyone: int, came: int) -> dict[str, str]:
    return {
        "all": grouped(Decimal(everyone)),
        "came": grouped(Decimal(came)),
        "share": share_words(came, everyone),
    }


def _whole(number: float) -> str:
    return grouped(Decimal(round(number)))
