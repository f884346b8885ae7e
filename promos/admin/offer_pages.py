"""The pages of an offer beside its form: the simulation, and the versions with their differences."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext

from loyalty.models import StatusTier
from loyalty.templatetags.money import bonus
from promos.models import Offer, OfferVersion
from promos.offers.decision import Limits
from promos.offers.rules import COUPON, parse
from promos.offers.simulation import PERIODS_DAYS, Simulation, simulate
from promos.offers.words import facets, sentence
from svoykrug.charts import draw_bars

# A budget is never overrun, so its last bonuses may lie idle.
SPENT_SHARE = Decimal("0.99")


def simulation_page(offer: Offer, *, at: datetime, days: int) -> dict[str, Any]:
    """Return the context of the simulation of the offer's present terms."""
    rule = parse(offer.conditions, offer.effect)
    result = simulate(
        rule,
        business_id=offer.business_id,
        price=offer.business.point_price_rub,
        at=at,
        days=days,
        limits=Limits(
            per_member=offer.per_member_limit,
            per_member_day=offer.per_member_day_limit,
            total_uses=offer.total_uses_limit,
            total_bonuses=offer.total_bonus_limit,
        ),
    )
    coupons = rule.effect.kind == COUPON
    return {
        "words": sentence(rule, for_staff=True, dates=False),
        "result": result,
        "days": days,
        "period_choices": PERIODS_DAYS,
        "coupons": coupons,
        "chart": draw_bars(_weeks(result, coupons=coupons)),
        "weeks": [
            {"label": _week(monday), "sums": sums, "cost": result.cost_of(sums)}
            for monday, sums in result.weeks.items()
        ],
        "tiers": _tiers(result),
        "ended_in": _ended_in(offer, result),
        "unsaid": list(_unsaid(offer)),
    }


def _weeks(result: Simulation, *, coupons: bool) -> list[tuple[str, Decimal, bool]]:
    return [
        (
            _week(monday),
            Decimal(sums.purchases) if coupons else result.cost_of(sums),
            monday >= result.first_day and monday + timedelta(days=6) <= result.last_day,
        )
        for monday, sums in result.weeks.items()
    ]


def _ended_in(offer: Offer, result: Simulation) -> str:
    """Return the week in which a limit in all would have ended the offer; empty if none would have."""
    bonuses, uses = offer.total_bonus_limit, offer.total_uses_limit
    spent = (bonuses is not None and result.total.bonuses >= bonuses * SPENT_SHARE) or (
        uses is not None and result.total.purchases >= uses
    )
    touched = [monday for monday, sums in result.weeks.items() if sums.purchases]
    return _week(touched[-1]) if spent and touched and touched[-1] != list(result.weeks)[-1] else ""


def _week(monday: Any) -> str:
    return f"{date_format(monday, 'j b')} – {date_format(monday + timedelta(days=6), 'j b')}"


def _tiers(result: Simulation) -> list[dict[str, Any]]:
    names = {tier.level: str(tier) for tier in StatusTier.objects.all()}
    return [
        {"label": f"{level} · {names.get(level, '')}", "sums": sums, "cost": result.cost_of(sums)}
        for level, sums in result.tiers.items()
    ]


def _unsaid(offer: Offer) -> Any:
    """Yield what the stored purchases cannot tell, as far as it concerns this offer."""
    yield gettext(
        "Purchases that the offer itself would have brought are not here: people come more often for a gift. "
        "Nor are those later taken back."
    )
    if "from" in offer.conditions or "until" in offer.conditions:
        yield gettext("The dates are left aside: the rest is tried on the days already past.")
    if offer.conditions.get("segments"):
        yield gettext(
            "The segment a member was in on that day is not kept: today's picture of customers stands for it."
        )
    if offer.effect.get("kind", "").startswith("discount"):
        yield gettext(
            "Tiers are as they were. With a discount less is paid, so some would have risen later, and "
            "bonuses that paid a larger share than allowed would have been fewer."
        )
    if offer.effect.get("kind") == COUPON:
        yield gettext("What the coupons cost shows only when they are used: here is how many would be given.")
    yield gettext("Other offers of yours are not counted beside it.")


TERMS = (
    "title", "conditions", "effect", "stacking", "priority", "per_member_limit", "per_member_day_limit",
    "total_uses_limit", "total_bonus_limit",
)  # fmt: skip


def version_rows(offer: Offer, *, latest: bool = False) -> list[dict[str, Any]]:
    """Return the versions, newest first, each with what changed since the one before it.

    The terms that are not published yet stand first, if they differ. latest  of these alone
    """
    versions = list(OfferVersion.objects.filter(offer=offer).order_by("-number"))
    rows: list[dict[str, Any]] = []
    if versions and any(getattr(versions[0], name) != getattr(offer, name) for name in TERMS):
        rows.append(_row(offer, versions[0]) | {"number": None})
    if latest:
        return rows
    earlier: list[OfferVersion | None] = [*versions[1:], None]
    return rows + [_row(version, before) for version, before in zip(versions, earlier, strict=True)]


def _row(version: Any, before: OfferVersion | None) -> dict[str, Any]:
    now, then = _described(version), _described(before) if before else {}
    names = list(dict.fromkeys([*then, *now])) if before else []
    return {
        "number": getattr(version, "number", None),
        "at": version.created_at,
        "title": version.title,
        "words": sentence(parse(version.conditions, version.effect), for_staff=True),
        "changes": [
            {"name": name, "before": then.get(name, "—"), "after": now.get(name, "—")}
            for name in names
            if then.get(name) != now.get(name)
        ],
    }


def _described(version: Any) -> dict[str, str]:
    """Return every part of the terms by its name, in words; what is not asked is left out."""
    parts = {gettext("Title"): version.title}
    parts |= {capfirst(name): text for name, text in facets(parse(version.conditions, version.effect))}
    parts[gettext("Stacking")] = version.get_stacking_display()
    parts[gettext("Priority")] = str(version.priority)
    for field in TERMS[5:]:
        if (limit := getattr(version, field)) is not None:
            name = capfirst(version._meta.get_field(field).verbose_name)
            parts[name] = bonus(Decimal(limit))
    return parts
