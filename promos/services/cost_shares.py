"""Who pays for the discounts of chains: what settlement reads, and what spends a chain's budget."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from loyalty.services.transactions import StoredTransaction
from promos.billing import Left
from promos.models import Coupon
from promos.rules import refunded_share
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write, read
from svoykrug.money import ZERO, percent_of, round_half_up

# The share that was agreed when the coupon came, whatever is agreed since.
AGREED_SHARES = """
    SELECT k.id, c.id, coalesce(k.chain_version, c.version), c.source_business_id, c.target_business_id,
        coalesce((v.terms->>'discount_share_percent')::numeric, c.discount_share_percent)
    FROM coupons k JOIN cross_promo_chains c ON c.id = k.chain_id
    LEFT JOIN chain_versions v ON v.chain_id = c.id AND v.version = k.chain_version
    WHERE k.id = ANY(%s::uuid[])
"""
LEFT_OF_PURCHASES = """
    SELECT purchase_id, chain_id, version, debtor_id, creditor_id, sum(discount), sum(amount) FROM (
        SELECT s.transaction_id AS purchase_id, s.* FROM chain_cost_shares s
        WHERE s.transaction_id = ANY(%s::uuid[])
        UNION ALL
        SELECT t.refund_of, s.* FROM transactions t JOIN chain_cost_shares s ON s.transaction_id = t.id
        WHERE t.refund_of = ANY(%s::uuid[])
    ) rows GROUP BY 1, 2, 3, 4, 5
"""
COLUMNS = {
    "id": "uuid", "created_at": "timestamptz", "transaction_id": "uuid", "chain_id": "uuid",
    "version": "integer", "debtor_id": "uuid", "creditor_id": "uuid", "discount": "numeric",
    "amount": "numeric",
}  # fmt: skip


@dataclass(slots=True)
class Share:
    """What is left, after refunds, of a purchase's discount by a chain and of the source's part of it."""

    chain_id: UUID
    version: int
    debtor_id: UUID
    creditor_id: UUID
    discount: Decimal = ZERO
    amount: Decimal = ZERO


class CostShares:
    """Shares of the purchases and refunds of a call; coupons and members are locked.

    spent  what the call adds to, or takes from, the discounts of each chain, roubles
    """

    def __init__(self, coupons: Collection[Coupon], refunded: Collection[StoredTransaction]) -> None:
        """Read the agreed shares of these coupons, and what is left of those of refunded purchases."""
        self.spent: dict[UUID, Decimal] = defaultdict(Decimal)
        self._of_coupons: dict[UUID, tuple[Any, ...]] = {}
        self._of_purchases: dict[UUID, Share] = {}
        self._rows: list[dict[str, Any]] = []
        of_chains = [coupon.pk for coupon in coupons if coupon.chain_id]
        purchases = [purchase.id for purchase in refunded if purchase.coupon_id]
        if of_chains:
            agreed, left = read((AGREED_SHARES, [of_chains]), (LEFT_OF_PURCHASES, [purchases, purchases]))
            self._of_coupons = {row[0]: row[1:] for row in agreed}
            self._of_purchases = {row[0]: Share(*row[1:]) for row in left}

    def redeemed(self, coupon: Coupon, *, transaction_id: UUID, discount: Decimal, at: datetime) -> None:
        """Note what a coupon took off; one of no chain, or without a discount, costs nobody."""
        if not discount or coupon.pk not in self._of_coupons:
            return
        chain_id, version, debtor, creditor, percent = self._of_coupons[coupon.pk]
        owed = round_half_up(percent_of(discount, percent))
        share = Share(chain_id, version, debtor, creditor, discount, owed)
        self._of_purchases[transaction_id] = share
        self._add(share, transaction_id, share.discount, share.amount, at)

    def refunded(self, purchase: StoredTransaction, parts: Left, *, refund_id: UUID, at: datetime) -> None:
        """Take back of the share what goes with a refund that is not counted into its purchase yet."""
        share = self._of_purchases.get(purchase.id)
        if not share:
            return
        of = purchase.coupon_discount - purchase.discount_returned
        discount = refunded_share(share.discount, returned=parts.coupon_discount, of=of)
        amount = refunded_share(share.amount, returned=parts.coupon_discount, of=of)
        share.discount -= discount
        share.amount -= amount
        if discount:
            self._add(share, refund_id, -discount, -amount, at)

    def _add(
        self, share: Share, transaction_id: UUID, discount: Decimal, amount: Decimal, at: datetime
    ) -> None:
        self.spent[share.chain_id] += discount
        self._rows.append(
            {
                "id": uuid7(), "created_at": at, "transaction_id": transaction_id,
                "chain_id": share.chain_id, "version": share.version, "debtor_id": share.debtor_id,
                "creditor_id": share.creditor_id, "discount": discount, "amount": amount,
            }
        )  # fmt: skip

    def write(self, write: Write) -> None:
        write.insert("chain_cost_shares", COLUMNS, self._rows)
