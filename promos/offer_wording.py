"""Offers in force in the words that members read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from promos.models import OfferVersion
from promos.offers.rules import Rule, parse
from promos.offers.words import badge, last_moment, limit_words, sentence


@dataclass(frozen=True, slots=True)
class OfferCard:
    """An offer as a member sees it.

    badge  the effect in a few characters; tone  its colour
    until  the last day; empty without one; days_left  said in its last week only
    misfit why it is not for this member; empty if it is
    """

    business: str
    title: str
    badge: str
    tone: str
    words: str
    limits: str
    until: str
    days_left: str
    misfit: str


def offer_cards(
    versions: Iterable[OfferVersion], *, tier: int, segment: str | None, at: datetime
) -> list[OfferCard]:
    """Put offers into words; those of other segments are left out, and those of other tiers stand last.

    tier, segment  of the member
    """
    cards = []
    for version in versions:
        rule = parse(version.conditions, version.effect)
        if not rule.conditions.segments or segment in rule.conditions.segments:
            cards.append(_card(version, rule, tier=tier, at=at))
    return sorted(cards, key=lambda card: bool(card.misfit))


def _card(version: OfferVersion, rule: Rule, *, tier: int, at: datetime) -> OfferCard:
    short, ends = badge(rule.effect), rule.conditions.ends
    tiers = rule.conditions.tiers
    return OfferCard(
        business=version.offer.business.name,
        title=version.title,
        badge=short.text,
        tone=short.tone,
        words=sentence(rule, dates=False),
        limits=limit_words(per_member=version.per_member_limit, per_member_day=version.per_member_day_limit),
        until=last_moment(ends) if ends else "",
        days_left=_days_left(ends, at) if ends else "",
        misfit="" if not tiers or tier in tiers else _misfit(tiers, tier),
    )


def _misfit(tiers: tuple[int, ...], tier: int) -> str:
    if tier < min(tiers):
        return gettext("Opens for you at tier %(level)d") % {"level": min(tiers)}
    return gettext("For other tiers than yours")


def _days_left(ends: datetime, at: datetime) -> str:
    days = (timezone.localtime(ends).date() - timezone.localdate(at)).days
    if days <= 1:
        return gettext("last day today")
    if days > 7:
        return ""
    return ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
