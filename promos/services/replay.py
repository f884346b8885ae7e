"""Every stored purchase is settled again from its stored inputs, and must come to the same numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.db.transaction import atomic

from promos.billing import line_json, settle

from .explanation import VERSION, stored_bill

ROWS_AT_ONCE = 5000
PURCHASES = """
    SELECT id, amount, coupon_discount, bonus_redeemed, amount_paid, bonus_accrued, explanation
    FROM transactions WHERE kind = 'purchase' AND business_id = coalesce(%s, business_id)
"""


class _Stored(NamedTuple):
    id: UUID
    amount: Decimal
    coupon_discount: Decimal
    bonus_redeemed: Decimal
    amount_paid: Decimal
    bonus_accrued: Decimal
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
    with atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(PURCHASES, [business_id])
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                stored = _Stored(*row)._replace(explanation=orjson.loads(row[-1]))
                if stored.explanation.get("version", 1) < VERSION:
                    result.without_inputs += 1
                    continue
                result.replayed += 1
                if found := list(_differences(stored)):
                    result.differing += 1
                    result.differences += found[: kept - len(result.differences)]
            yield result


def _differences(stored: _Stored) -> Iterator[Difference]:
    explanation = stored.explanation
    bill = stored_bill(stored.amount, explanation)
    settled = settle(bill)
    pairs: dict[str, tuple[Any, Any]] = {
        "coupon_discount": (stored.coupon_discount, settled.coupon_discount),
        "bonus_redeemed": (stored.bonus_redeemed, bill.redeem),
        "amount_paid": (stored.amount_paid, settled.amount_paid),
        "bonus_accrued": (stored.bonus_accrued, settled.bonus_accrued),
        "earn_base": (Decimal(explanation["earn_base"]), settled.earn_base),
        "lines": (explanation.get("lines", []), [line_json(share) for share in settled.lines]),
    }
    for name, (is_stored, replayed) in pairs.items():
        if is_stored != replayed:
            yield Difference(stored.id, name, is_stored, replayed)
