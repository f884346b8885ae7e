"""What a call uses of offers and gives back: rows, counters, and coupons for the next visit."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from loyalty.rules import end_of_day
from loyalty.services.transactions import NewTransaction
from promos.models import Coupon
from promos.offers.decision import Decision, Looked
from promos.offers.rules import NextCoupon
from promos.rules import new_code
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Rows, Write
from svoykrug.money import ZERO

from .coupons import Coupons
from .live_offers import LiveOffers

# What purchases to be refunded used, with the coupon that came of it.
OF_PURCHASES = """
    SELECT u.transaction_id, u.offer_id, u.version, u.user_id, u.bonuses, u.discount, u.day, c.id
    FROM offer_uses u LEFT JOIN coupons c ON c.issued_for = u.transaction_id AND c.offer_id = u.offer_id
    WHERE u.transaction_id = ANY(%s::uuid[])
"""
USES = {
    "id": "uuid", "created_at": "timestamptz", "offer_id": "uuid", "version": "integer", "user_id": "uuid",
    "transaction_id": "uuid", "uses": "smallint", "bonuses": "numeric", "discount": "numeric", "day": "date",
}  # fmt: skip
COUPONS = {
    "id": "uuid", "created_at": "timestamptz", "updated_at": "timestamptz", "code": "text",
    "user_id": "uuid", "business_id": "uuid", "offer_id": "uuid", "status": "text", "benefit": "text",
    "benefit_value": "numeric", "benefit_text": "text", "min_amount": "numeric",
    "valid_from": "timestamptz", "valid_until": "timestamptz", "issued_for": "uuid",
}  # fmt: skip
# Offers without a limit are locked only here; in order of id, or two calls might wait for each other.
COUNT = """
    UPDATE offer_constructor SET uses_count = uses_count + r.uses,
        bonuses_given = bonuses_given + r.bonuses, discount_given = discount_given + r.discount
    FROM (
        SELECT r.* FROM {rows} JOIN offer_constructor o ON o.id = r.id ORDER BY o.id FOR NO KEY UPDATE OF o
    ) r
    WHERE offer_constructor.id = r.id
"""
COUNTED = {"id": "uuid", "uses": "integer", "bonuses": "numeric", "discount": "numeric"}


@dataclass(slots=True)
class _Use:
    """A use that a full refund of its purchase may give back."""

    offer_id: UUID
    version: int
    member_id: UUID
    bonuses: Decimal
    discount: Decimal
    day: date
    coupon_id: UUID | None


class OfferUses:
    """Keeps what the decisions of a call used, for writing; `live` counts it for those that follow."""

    def __init__(self, live: LiveOffers, coupons: Coupons, *, recorded_at: datetime) -> None:
        self.live = live
        self.recorded_at = recorded_at
        self._known_coupons = coupons
        self._of_purchase: dict[UUID, list[_Use]] = defaultdict(list)
        self._rows: list[dict[str, Any]] = []
        self._issued: dict[UUID, Coupon] = {}

    def load(self, rows: Rows) -> tuple[set[UUID], set[UUID]]:
        """Take the rows of `OF_PURCHASES`; returns the offers and the coupons to lock."""
        for purchase_id, *use in rows:
            self._of_purchase[purchase_id].append(_Use(*use))
        uses = [use for uses in self._of_purchase.values() for use in uses]
        return {use.offer_id for use in uses}, {use.coupon_id for use in uses if use.coupon_id}

    def use(self, decision: Decision, row: NewTransaction) -> dict[UUID, Coupon]:
        """Note what the purchase used. Returns the coupons it brings, by offer."""
        issued = {}
        for one in decision.looked:
            if not one.applied:
                continue
            assert decision.facts
            coupon = self._issue(one, row)
            if coupon:
                issued[one.offer.id] = coupon
            use = _Use(
                one.offer.id,
                one.offer.version,
                row.user_id,
                one.part.bonuses,
                one.part.discount,
                decision.facts.at.date(),
                coupon.pk if coupon else None,
            )
            self._of_purchase[row.id].append(use)
            self._note(use, row.id, row.created_at, sign=1)
        return issued

    def give_back(self, purchase_id: UUID, *, refund_id: UUID, at: datetime) -> None:
        """Return the uses of a purchase that was refunded whole; a coupon it brought is void.

        A use whose coupon was redeemed stays: the member had the good of it.
        """
        for use in self._of_purchase.pop(purchase_id, ()):
            if use.coupon_id and not self._void(use.coupon_id):
                continue
            self._note(use, refund_id, at, sign=-1)

    def _void(self, coupon_id: UUID) -> bool:
        if coupon := self._issued.get(coupon_id):
            coupon.status = Coupon.Status.VOIDED
            return True
        return self._known_coupons.void(coupon_id)

    def _note(self, use: _Use, transaction_id: UUID, at: datetime, *, sign: int) -> None:
        bonuses, discount = use.bonuses * sign, use.discount * sign
        self.live.count(use.offer_id, use.member_id, use.day, uses=sign, bonuses=bonuses)
        self._rows.append(
            {
                "id": uuid7(), "created_at": at, "offer_id": use.offer_id, "version": use.version,
                "user_id": use.member_id, "transaction_id": transaction_id, "uses": sign,
                "bonuses": bonuses, "discount": discount, "day": use.day,
            }
        )  # fmt: skip

    def _issue(self, one: Looked, row: NewTransaction) -> Coupon | None:
        terms: NextCoupon | None = one.offer.rule.effect.coupon
        if terms is None:
            return None
        at = row.created_at
        last_day = timezone.localdate(at) + timedelta(days=terms.valid_days)
        coupon = Coupon(
            created_at=at,
            code=new_code(),
            member_id=row.user_id,
            business_id=row.business_id,
            offer_id=one.offer.id,
            benefit=terms.benefit,
            benefit_value=terms.value,
            benefit_text=terms.text,
            min_amount=terms.min_amount,
            valid_from=at,
            valid_until=end_of_day(last_day, timezone.get_default_timezone()),
            issued_for_id=row.id,
        )
        self._issued[coupon.pk] = coupon
        return coupon

    def write(self, write: Write) -> None:
        """Add uses, counters and coupons to a statement."""
        write.insert("coupons", COUPONS, [self._row(coupon) for coupon in self._issued.values()])
        write.insert("offer_uses", USES, self._rows)
        counted: dict[UUID, dict[str, Any]] = {}
        for row in self._rows:
            sums = counted.setdefault(
                row["offer_id"], {"id": row["offer_id"], "uses": 0, "bonuses": ZERO, "discount": ZERO}
            )
            for name in ("uses", "bonuses", "discount"):
                sums[name] += row[name]
        write.add(COUNT, COUNTED, list(counted.values()))

    def _row(self, coupon: Coupon) -> dict[str, Any]:
        row = {str(field.column): getattr(coupon, field.attname) for field in Coupon._meta.concrete_fields}
        return row | {"updated_at": self.recorded_at}
