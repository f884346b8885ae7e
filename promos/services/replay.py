"""Every stored purchase is decided again from its stored inputs, and must come to the same.

Which offers applied is decided again, too, from their frozen versions and from what was known of the
member and used of their limits then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.db.transaction import atomic

from promos.billing import line_json, settle
from promos.models import OfferVersion
from promos.offers.decision import Decision, Offer, decide

from .explanation import REPLAYABLE, offer_rules, stored_bill, stored_facts, stored_usage
from .live_offers import frozen_offer

ROWS_AT_ONCE = 5000
PURCHASES = """
    SELECT id, amount, coupon_discount, bonus_redeemed, amount_paid, bonus_accrued, category, created_at,
        explanation
    FROM transactions WHERE kind = 'purchase' AND business_id = coalesce(%s, business_id)
"""


class _Stored(NamedTuple):
    id: UUID
    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    amount_paid: Decimal
    bonus_accrued: Decimal
    category: str
    created_at: datetime
    explanation: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A purchase whose replay gave another number than is stored."""

    purchase_id: UUID
    name: str
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        return f"purchase {self.purchase_id}: {self.name} is {self.stored}, replayed {self.replayed}"


@dataclass(slots=True)
class Replay:
    """What came of a replay.

    without_inputs  purchases of explanations before version 2, which held no inputs
    differences     the first of them are kept, all are counted
    """

    replayed: int = 0
    without_inputs: int = 0
    differing: int = 0
    differences: list[Difference] | None = None


def replay_purchases(*, business_id: UUID | None = None, kept: int = 20) -> Iterator[Replay]:
    """Settle the stored purchases again; yields the count so far after each few thousand.

    Reads one snapshot of the database and changes nothing.
    """
    result = Replay(differences=[])
    assert result.differences is not None
    versions = _Versions()
    with atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(PURCHASES, [business_id])
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                stored = _Stored(*row)._replace(explanation=orjson.loads(row[-1]))
                if stored.explanation.get("version", 1) < REPLAYABLE:
                    result.without_inputs += 1
                    continue
                result.replayed += 1
                if found := list(_differences(stored, versions)):
                    result.differing += 1
                    result.differences += found[: kept - len(result.differences)]
            yield result


def _differences(stored: _Stored, versions: "_Versions") -> Iterator[Difference]:
    explanation = stored.explanation
    decision = _decide(stored, versions)
    bill, settled = decision.bill, decision.settled
    pairs: dict[str, tuple[Any, Any]] = {
        "coupon_discount": (stored.coupon_discount, settled.coupon_discount),
        "bonus_redeemed": (stored.bonus_redeemed, bill.redeem),
        "amount_paid": (stored.amount_paid, settled.amount_paid),
        "bonus_accrued": (stored.bonus_accrued, settled.bonus_accrued),
        "earn_base": (Decimal(explanation["earn_base"]), settled.earn_base),
        "lines": (explanation.get("lines", []), [line_json(share) for share in settled.lines]),
        "offers": (_stored_offers(explanation), offer_rules(decision, {})),
    }
    for name, (is_stored, replayed) in pairs.items():
        if is_stored != replayed:
            yield Difference(stored.id, name, is_stored, replayed)


def _decide(stored: _Stored, versions: "_Versions") -> Decision:
    bill = stored_bill(stored.amount, stored.explanation)
    looked = _stored_offers(stored.explanation)
    if not looked:
        return Decision(bill, settle(bill))
    facts = stored_facts(
        stored.explanation, at=stored.created_at, amount=stored.amount, category=stored.category
    )
    offers = [versions.get(UUID(one["params"]["offer"]), one["params"]["version"]) for one in looked]
    return decide(bill, facts, offers, stored_usage(stored.explanation))


def _stored_offers(explanation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of offers without the codes of coupons, which are drawn by lot."""
    rules = [one for one in explanation["rules"] if one["rule"] == "offer"]
    return [
        one | {"params": {name: value for name, value in one["params"].items() if name != "coupon"}}
        for one in rules
    ]


class _Versions:
    """Frozen terms of offers, each read once."""

    def __init__(self) -> None:
        self._offers: dict[tuple[UUID, int], Offer] = {}

    def get(self, offer_id: UUID, number: int) -> Offer:
        key = offer_id, number
        if key not in self._offers:
            version = OfferVersion.objects.select_related("offer").get(offer=offer_id, number=number)
            self._offers[key] = frozen_offer(version)
        return self._offers[key]
