"""An offer's life: drafted, published, paused, resumed, ended (specification, rules.md, Offers).

draft → published ⇄ paused → ended, and a draft may end unpublished. Publishing freezes a version;
what is edited later changes nothing for purchases until it is published, too. Who may act for a
business is checked by the surface that calls; the journal of changes names the person.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.models import Business
from promos.errors import OfferRefused
from promos.models import Offer, OfferVersion
from promos.offers.rules import GIVES_BONUSES, Rule, RuleFaults, parse, to_json
from svoykrug.db.sql import read

Status = Offer.Status
MAX_PRIORITY = 1000
MAX_LIMIT = 2**31 - 1
MAX_BUDGET = Decimal(10**11)
COUNTS = ("per_member_limit", "per_member_day_limit", "total_uses_limit")
CATEGORIES = """
    WITH sold AS (
        SELECT category, lines FROM transactions WHERE business_id = %s AND kind = 'purchase'
    )
    SELECT category FROM sold WHERE category <> ''
    UNION SELECT line ->> 'category' FROM sold, jsonb_array_elements(lines) AS line
    WHERE line ->> 'category' <> ''
"""
TERMS = ("title", "conditions", "effect", "stacking", "priority", *COUNTS, "total_bonus_limit")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an owner types. Limits: None is without one; total_bonus_limit is the budget in bonuses.

    conditions, effect  JSON as `promos.offers.rules` reads it
    priority            the higher goes first where exclusive offers are equally good
    """

    title: str
    conditions: Any
    effect: Any
    stacking: str = Offer.Stacking.STACKABLE
    priority: int = 0
    per_member_limit: int | None = None
    per_member_day_limit: int | None = None
    total_uses_limit: int | None = None
    total_bonus_limit: Decimal | None = None


def known_categories(business_id: UUID) -> set[str]:
    """Return the categories of purchases and of their lines ever recorded at the business."""
    [rows] = read((CATEGORIES, [business_id]))
    return {category for (category,) in rows}


def check_terms(terms: Terms, *, business: Business) -> Rule:
    """Return the rule that the terms say. Raises RuleFaults, naming every fault by its path."""
    faults = list(_faults(terms))
    rule = None
    try:
        rule = parse(terms.conditions, terms.effect, categories=_Categories(business.pk))
    except RuleFaults as refused:
        faults = refused.faults + faults
    if rule and terms.total_bonus_limit is not None and rule.effect.kind not in GIVES_BONUSES:
        faults.append(("total_bonus_limit", _("This effect gives no bonuses to count; limit the uses.")))
    if faults or rule is None:
        raise RuleFaults(faults)
    return rule


class _Categories:
    """Asked only for offers that name a category: it is a look at all purchases of the business."""

    def __init__(self, business_id: UUID) -> None:
        self._business_id = business_id
        self._known: set[str] | None = None

    def __contains__(self, category: object) -> bool:
        if self._known is None:
            self._known = known_categories(self._business_id)
        return category in self._known


def _faults(terms: Terms) -> Iterable[tuple[str, str]]:
    if not isinstance(terms.title, str) or not 0 < len(terms.title.strip()) <= 120 or "\x00" in terms.title:
        yield "title", _("Name the offer in at most 120 characters.")
    if terms.stacking not in Offer.Stacking.values:
        known = ", ".join(Offer.Stacking.values)
        yield "stacking", _("This must be one of: %(known)s.") % {"known": known}
    if not isinstance(terms.priority, int) or abs(terms.priority) > MAX_PRIORITY:
        words = {"least": -MAX_PRIORITY, "most": MAX_PRIORITY}
        yield "priority", _("This must be a whole number from %(least)d to %(most)d.") % words
    for name in COUNTS:
        limit = getattr(terms, name)
        if limit is not None and not (isinstance(limit, int) and 1 <= limit <= MAX_LIMIT):
            words = {"least": 1, "most": MAX_LIMIT}
            yield name, _("This must be a whole number from %(least)d to %(most)d.") % words
    budget = terms.total_bonus_limit
    if budget is not None and not (
        budget.is_finite() and 0 < budget <= MAX_BUDGET and budget == round(budget, 2)
    ):
        yield "total_bonus_limit", _("This must be a number above zero with at most two decimals.")


@atomic
def save_draft(terms: Terms, *, business: Business, offer_id: UUID | None = None) -> Offer:
    """Keep what the owner typed; of a published offer, as changes that nobody meets yet.

    offer_id  of the offer to change; None drafts a new one

    Raises RuleFaults, or OfferRefused for the programme's own business and for an ended offer, and
    then nothing is saved. Locks the offer.
    """
    if business.is_programme:
        raise OfferRefused(
            _("An offer belongs to the partner who gives its bonuses; the programme has no till of its own.")
        )
    offer = _lock(offer_id, business=business) if offer_id else Offer(business=business)
    if offer.status == Status.ENDED:
        raise OfferRefused(_("The offer has ended. Draft a new one."))
    rule = check_terms(terms, business=business)
    for name, value in asdict(terms).items():
        setattr(offer, name, value)
    offer.title = terms.title.strip()
    offer.conditions, offer.effect = to_json(rule)
    offer.save()
    return offer


@atomic
def publish(offer_id: UUID, *, business: Business, at: datetime) -> Offer:
    """Freeze the terms as a new version, in force for purchases from `at` on.

    Terms that are frozen already make no new version. Raises RuleFaults if the terms have become
    unsound or a limit is below what is used already; OfferRefused if the offer has ended.
    """
    offer = _lock(offer_id, business=business)
    if offer.status == Status.ENDED:
        raise OfferRefused(_("The offer has ended. Draft a new one."))
    terms = Terms(**{name: getattr(offer, name) for name in TERMS})
    check_terms(terms, business=business)
    _check_used(offer)
    latest = OfferVersion.objects.filter(offer=offer, number=offer.version).first()
    if latest is None or any(getattr(latest, name) != getattr(offer, name) for name in TERMS):
        offer.version += 1
        OfferVersion.objects.create(offer=offer, number=offer.version, created_at=at, **asdict(terms))
    elif offer.status == Status.PUBLISHED:
        return offer
    return _put_in_force(offer, at)


def _check_used(offer: Offer) -> None:
    faults = []
    if offer.total_uses_limit is not None and offer.total_uses_limit < offer.uses_count:
        words = {"used": offer.uses_count}
        faults.append(
            ("total_uses_limit", _("Used %(used)d times already: the limit cannot be lower.") % words)
        )
    if offer.total_bonus_limit is not None and offer.total_bonus_limit < offer.bonuses_given:
        words = {"given": offer.bonuses_given}
        faults.append(("total_bonus_limit", _("%(given)s bonuses are given already.") % words))
    if faults:
        raise RuleFaults(faults)


@atomic
def pause(offer_id: UUID, *, business: Business) -> Offer:
    """Take a published offer out of force; coupons it gave stay valid."""
    offer = _lock(offer_id, business=business)
    if offer.status != Status.PUBLISHED:
        raise OfferRefused(_("Only a published offer can be paused."))
    return _move(offer, Status.PAUSED)


@atomic
def resume(offer_id: UUID, *, business: Business, at: datetime) -> Offer:
    """Put a paused offer in force again with its last version, for purchases from `at` on."""
    offer = _lock(offer_id, business=business)
    if offer.status != Status.PAUSED:
        raise OfferRefused(_("Only a paused offer can be resumed."))
    return _put_in_force(offer, at)


@atomic
def end(offer_id: UUID, *, business: Business) -> Offer:
    """Take an offer out of force for good; coupons it gave stay valid. May be repeated."""
    offer = _lock(offer_id, business=business)
    return _move(offer, Status.ENDED)


def _lock(offer_id: UUID, *, business: Business) -> Offer:
    """Hold the business's offer until the transaction ends. Raises OfferRefused if it has none such."""
    offer = Offer.objects.select_for_update(no_key=True).filter(pk=offer_id, business=business).first()
    if offer is None:
        raise OfferRefused(_("There is no such offer here."))
    return offer


def _put_in_force(offer: Offer, at: datetime) -> Offer:
    offer.live_since = at
    return _move(offer, Status.PUBLISHED)


def _move(offer: Offer, status: Offer.Status) -> Offer:
    offer.status = status
    offer.save(update_fields=["status", "version", "live_since", "updated_at"])
    return offer
