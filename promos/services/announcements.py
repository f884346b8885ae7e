"""What partners' own systems are told, written by the transaction in which it happens."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from loyalty.models import WebhookEvent
from loyalty.services.transactions import NewTransaction
from loyalty.services.webhooks.outbox import Event, publish
from promos.models import ChainVersion, Coupon
from svoykrug.db.sql import Write

if TYPE_CHECKING:
    from .checkout import Checkout

Type = WebhookEvent.Type


def announce(write: Write, checkout: "Checkout") -> None:
    """Add events of the businesses that have webhooks; for the others nothing is done."""
    telling = {request.business.pk for request in checkout.requests if request.business.has_webhooks}
    rows = [row for row in checkout.rows if row.business_id in telling]
    events = [_of_transaction(row) for row in rows]
    events += [_of_redemption(row) for row in rows if row.coupon_id and row.refund_of is None]
    told = {row.id: row.business_id for row in rows}
    events += [
        _of_rise(told[change["transaction_id"]], change)
        for change in checkout.ledger.tier_changes
        if change["transaction_id"] in told
    ]
    # A coupon concerns the business where it is redeemed; it is rare enough to let the statement
    # itself see whether anybody there is to be told.
    issued = [coupon for outcome in checkout.outcomes if outcome for coupon in outcome.coupons_issued]
    events += coupon_events(issued)
    if events:
        publish(write, events, at=checkout.at)


def coupon_events(coupons: Iterable[Coupon]) -> list[Event]:
    """Return `coupon.issued` for where the coupons are redeemed. The code stays the member's."""
    return [
        Event(
            coupon.business_id,
            Type.COUPON_ISSUED.value,
            coupon.pk,
            {
                "id": str(coupon.pk),
                "member": str(coupon.member_id),
                "benefit": coupon.benefit,
                "value": str(coupon.benefit_value),
                "text": coupon.benefit_text,
                "min_amount": _money(coupon.min_amount),
                "valid_from": coupon.valid_from.isoformat(),
                "valid_until": coupon.valid_until.isoformat(),
            },
        )
        for coupon in coupons
    ]


def tell_of_chain(kind: str, version: ChainVersion, *, business_id: UUID, at: datetime) -> None:
    """Tell one side what the other did; the caller's transaction does both."""
    chain = version.chain
    data = {
        "id": str(chain.pk),
        "version": version.version,
        "source": str(chain.source_business_id),
        "target": str(chain.target_business_id),
        "title": str(chain),
        "terms": version.terms,
    }
    write = Write()
    publish(write, [Event(business_id, kind, chain.pk, data)], at=at)
    write.execute()


def _of_transaction(row: NewTransaction) -> Event:
    """A refund is told of as its purchase's: it never arrives before it."""
    data = {
        "id": str(row.id),
        "external_id": row.external_id,
        "member": str(row.user_id),
        "amount": _money(row.amount),
        "coupon_discount": _money(row.coupon_discount),
        "bonus_redeemed": _money(row.bonus_redeemed),
        "amount_paid": _money(row.amount_paid),
        "bonus_accrued": _money(row.bonus_accrued),
        "category": row.category,
        "created_at": row.created_at.isoformat(),
    }
    if row.refund_of is None:
        return Event(row.business_id, Type.PURCHASE_CREATED.value, row.id, data)
    refund = data | {"refund_of": str(row.refund_of)}
    return Event(row.business_id, Type.PURCHASE_REFUNDED.value, row.refund_of, refund)


def _of_redemption(row: NewTransaction) -> Event:
    assert row.coupon_id
    data = {"id": str(row.coupon_id), "member": str(row.user_id), "purchase": str(row.id)}
    return Event(row.business_id, Type.COUPON_REDEEMED.value, row.coupon_id, data)


def _of_rise(business_id: UUID, change: dict[str, Any]) -> Event:
    data = {
        "member": str(change["user_id"]),
        "from_level": change["from_level"],
        "to_level": change["to_level"],
        "purchase": str(change["transaction_id"]),
    }
    return Event(business_id, Type.MEMBER_TIER_CHANGED.value, change["user_id"], data)


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
