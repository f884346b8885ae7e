"""Offers of a call: those in force at its businesses, how far they are used, and what it uses of them."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from loyalty.rules import Tier
from promos.billing import Bill, settle
from promos.models import Offer as OfferTerms
from promos.models import OfferVersion
from promos.offers.decision import Decision, Limits, Offer, Usage, decide
from promos.offers.facts import Facts, blurred_birthday, first_failing_of_bill
from promos.offers.rules import Rule, parse
from svoykrug.db.sql import Rows, read
from svoykrug.money import ZERO

from .purchases import PurchaseRequest

EXCLUSIVE = OfferTerms.Stacking.EXCLUSIVE.value
Query = tuple[str, list[Any]]
TERMS = """
    SELECT o.id, o.business_id, o.live_since, o.uses_count, o.bonuses_given, o.created_at, v.number, v.title,
        v.conditions, v.effect, v.stacking, v.priority, v.per_member_limit, v.per_member_day_limit,
        v.total_uses_limit, v.total_bonus_limit
    FROM offer_constructor o JOIN offer_versions v ON v.offer_id = o.id AND v.number = o.version
    WHERE o.status = 'published' AND
"""
# Whose days are over, or still to come, is no rule of that moment: nobody looks at it.
LIVE = f"""{TERMS} o.business_id = ANY(%s::uuid[]) AND o.live_since <= %s
    AND coalesce((v.conditions->>'from')::timestamptz, '-infinity') <= %s
    AND coalesce((v.conditions->>'until')::timestamptz, 'infinity') > %s
"""
LOCK = "SELECT id FROM offer_constructor WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# Asked after the lock, so it sees what its last holder has written.
LOCKED = f"{TERMS} o.id = ANY(%s::uuid[])"
USED_BY = """
    SELECT user_id, offer_id, day, sum(uses) FROM offer_uses
    WHERE user_id = ANY(%s::uuid[]) AND offer_id = ANY(%s::uuid[]) GROUP BY 1, 2, 3
"""
SEGMENTS = "SELECT user_id, segment FROM member_segments WHERE user_id = ANY(%s::uuid[])"
BIRTHDAYS = "SELECT id, birth_date FROM users WHERE id = ANY(%s::uuid[]) AND birth_date IS NOT NULL"
FIRST_VISITS = """
    SELECT user_id, business_id, min(created_at) FROM transactions
    WHERE user_id = ANY(%s::uuid[]) AND business_id = ANY(%s::uuid[]) AND kind = 'purchase' GROUP BY 1, 2
"""
# Plain text: the app of events stands above this one.
ATTENDED = """
    SELECT user_id, event_id FROM event_registrations
    WHERE user_id = ANY(%s::uuid[]) AND event_id = ANY(%s::uuid[]) AND status = 'attended'
"""


@lru_cache(maxsize=4096)
def rule_of(conditions: str, effect: str) -> Rule:
    """Return the rule of frozen terms, given as the text of their JSON."""
    return parse(json.loads(conditions), json.loads(effect))


@dataclass(slots=True)
class Live:
    """An offer in force; uses and bonuses move with the decisions of the call."""

    offer: Offer
    business_id: UUID
    since: datetime
    uses: int
    bonuses: Decimal

    def in_force(self, at: datetime) -> bool:
        asked = self.offer.rule.conditions
        return (
            at >= self.since
            and (asked.starts is None or at >= asked.starts)
            and (asked.ends is None or at < asked.ends)
        )


def _live(row: tuple[Any, ...]) -> Live:
    key, business_id, since, uses, bonuses, created_at, number, title, conditions, effect = row[:10]
    rule, (stacking, priority, *limits) = rule_of(conditions, effect), row[10:]
    offer = Offer(key, number, title, rule, stacking == EXCLUSIVE, priority, created_at, Limits(*limits))
    return Live(offer, business_id, since, uses, bonuses)


def frozen_offer(version: OfferVersion) -> Offer:
    """Return a version as purchases meet it; its offer must be loaded."""
    return Offer(
        id=version.offer_id,
        version=version.number,
        title=version.title,
        rule=parse(version.conditions, version.effect),
        exclusive=version.stacking == EXCLUSIVE,
        priority=version.priority,
        created_at=version.offer.created_at,
        limits=Limits(
            version.per_member_limit,
            version.per_member_day_limit,
            version.total_uses_limit,
            version.total_bonus_limit,
        ),
    )


class LiveOffers:
    """The offers that purchases of a call may meet, and what their conditions need of the members."""

    def __init__(self, rows: Rows, *, recorded_at: datetime) -> None:
        """Take the rows of `LIVE`; see `load`."""
        self.recorded_at = recorded_at
        self.by_id: dict[UUID, Live] = {}
        self._by_business: dict[UUID, list[Live]] = defaultdict(list)
        for row in rows:
            live = _live(row)
            self.by_id[live.offer.id] = live
            self._by_business[live.business_id].append(live)
        self._used_by: dict[tuple[UUID, UUID], dict[date, int]] = defaultdict(lambda: defaultdict(int))
        self._segments: dict[UUID, str] = {}
        self._born: dict[UUID, date] = {}
        self._first_visits: dict[tuple[UUID, UUID], datetime] = {}
        self._attended: dict[UUID, set[UUID]] = defaultdict(set)

    def load(self, requests: Collection[PurchaseRequest], *, returned: Collection[UUID], lock: bool) -> None:
        """Read what conditions and limits ask for, in one message; nothing if none asks.

        returned  offers whose uses a refund of this call may give back
        lock      hold offers with a limit in all until the end of the transaction, in order of id, so
                  that no limit is ever overrun; members are locked already, which guards theirs

        Members and coupons must be locked.
        """
        met = self._met(requests)
        rules = [live.offer.rule.conditions for live in met]
        members = list({request.member_id for request in requests})
        queries: list[tuple[Any, Query]] = []
        limited = {live.offer.id for live in met if live.offer.limits.of_all} | set(returned)
        if lock and limited:
            queries.append((None, (LOCK, [list(limited)])))
            locked = [pk for pk in limited if pk in self.by_id]
            queries.append((partial(self._take_locked, locked), (LOCKED, [locked])))
        of_member = [live.offer.id for live in met if live.offer.limits.of_member]
        if of_member:
            queries.append((self._take_used, (USED_BY, [members, of_member])))
        if any(asked.segments for asked in rules):
            queries.append((self._take_segments, (SEGMENTS, [members])))
        if any(asked.birthday_days is not None for asked in rules):
            queries.append((self._take_born, (BIRTHDAYS, [members])))
        if any(asked.first_purchase for asked in rules):
            businesses = list({live.business_id for live in met if live.offer.rule.conditions.first_purchase})
            queries.append((self._take_visits, (FIRST_VISITS, [members, businesses])))
        if events := [asked.attended_event for asked in rules if asked.attended_event]:
            queries.append((self._take_attended, (ATTENDED, [members, events])))
        for (take, _), rows in zip(queries, read(*(query for _, query in queries)), strict=True):
            if take:
                take(rows)

    def _met(self, requests: Iterable[PurchaseRequest]) -> list[Live]:
        """Return the offers whose conditions on the bill some purchase meets."""
        met: dict[UUID, Live] = {}
        for request in requests:
            for live in self._by_business.get(request.business.id, ()):
                at = request.purchased_at or self.recorded_at
                if live.offer.id not in met and live.in_force(at):
                    facts = _facts_of_bill(request, at)
                    if first_failing_of_bill(live.offer.rule, facts) is None:
                        met[live.offer.id] = live
        return list(met.values())

    def _take_locked(self, locked: list[UUID], rows: Rows) -> None:
        """Put the terms and counters under the lock in place of those before it; what has ended goes."""
        now = {row[0]: _live(row) for row in rows}
        ended = set(locked) - now.keys()
        for offers in self._by_business.values():
            offers[:] = [now.get(live.offer.id, live) for live in offers if live.offer.id not in ended]
        self.by_id = {live.offer.id: live for offers in self._by_business.values() for live in offers}

    def _take_used(self, rows: Rows) -> None:
        for member_id, offer_id, day, uses in rows:
            self._used_by[offer_id, member_id][day] = uses

    def _take_segments(self, rows: Rows) -> None:
        self._segments = dict(rows)

    def _take_born(self, rows: Rows) -> None:
        self._born = dict(rows)

    def _take_visits(self, rows: Rows) -> None:
        self._first_visits = {(member_id, business_id): at for member_id, business_id, at in rows}

    def _take_attended(self, rows: Rows) -> None:
        for member_id, event_id in rows:
            self._attended[member_id].add(event_id)

    # --- Decide ------------------------------------------------------------------------------

    def decide(self, request: PurchaseRequest, bill: Bill, tier: Tier, *, at: datetime) -> Decision:
        """Settle the bill with the offers that apply."""
        live = [one for one in self._by_business.get(request.business.id, ()) if one.in_force(at)]
        if not live:
            return Decision(bill, settle(bill))
        facts = self._facts(request, tier, [one.offer.rule for one in live], at)
        usage = {
            one.offer.id: self._usage(one, request.member_id, facts.at.date())
            for one in live
            if one.offer.limits.of_all or one.offer.limits.of_member
        }
        return decide(bill, facts, [one.offer for one in live], usage)

    def _facts(self, request: PurchaseRequest, tier: Tier, rules: list[Rule], at: datetime) -> Facts:
        member_id = request.member_id
        first = self._first_visits.get((member_id, request.business.id))
        facts = _facts_of_bill(request, at)
        return replace(
            facts,
            tier=tier.level,
            segment=self._segments.get(member_id),
            returning=first is not None and first <= at,
            birthday=blurred_birthday(self._born.get(member_id), facts.at.date(), rules),
            attended=frozenset(self._attended.get(member_id, ())),
        )

    def _usage(self, live: Live, member_id: UUID, day: date) -> Usage:
        by_day = self._used_by.get((live.offer.id, member_id), {})
        limits = live.offer.limits
        return Usage(
            by_member=sum(by_day.values()),
            by_member_today=by_day.get(day, 0),
            uses=live.uses if limits.of_all else 0,
            bonuses=live.bonuses if limits.of_all else ZERO,
        )

    def count(self, offer_id: UUID, member_id: UUID, day: date, *, uses: int, bonuses: Decimal) -> None:
        """Note a use, or one given back, for the purchases of this call that follow."""
        self._used_by[offer_id, member_id][day] += uses
        if live := self.by_id.get(offer_id):
            live.uses += uses
            live.bonuses += bonuses

    def note_visit(self, member_id: UUID, business_id: UUID, at: datetime) -> None:
        key = member_id, business_id
        self._first_visits[key] = min(at, self._first_visits.get(key, at))


def _facts_of_bill(request: PurchaseRequest, at: datetime) -> Facts:
    return Facts(
        timezone.localtime(at), request.amount, request.category, tier=0, lines=request.line_categories
    )
