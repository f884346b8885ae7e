"""Quotes: a bill is settled without being stored, and its outcome is promised for some minutes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from loyalty.locks import lock_members
from loyalty.models import BonusHold, Business
from loyalty.services.presence import spend_code
from loyalty.services.transactions import NewTransaction
from promos.errors import QuoteNotFound
from promos.models import Quote
from svoykrug.db.models import uuid7

from .buying import check_presence
from .checkout import Checkout
from .promises import promise_of
from .purchases import PurchaseRequest

# What a purchase may leave out when it names a quote.
CONTENT = ("amount", "category", "lines", "coupon_code", "redeem")


@dataclass(frozen=True, slots=True)
class Quoted:
    """A stored quote and the outcome it promises.

    max_redeemable  bonuses that the member could spend on this bill now
    """

    quote: Quote
    row: NewTransaction
    max_redeemable: Decimal
    available_from: datetime


@atomic
def make_quote(request: PurchaseRequest, *, hold: bool, at: datetime) -> Quoted:
    """Settle the bill and keep the promise for `QUOTE_MINUTES`; nothing of it is recorded.

    hold  set bonuses and coupon aside meanwhile; a presence code given with it is used up, and the
          purchase that names the quote needs no other

    Raises the DomainError that the purchase would meet. Locks the member.
    """
    checkout = Checkout([request], at, quoting=True)
    outcome = checkout.run()[0]
    if outcome.error:
        raise outcome.error
    assert outcome.row
    assert outcome.max_redeemable is not None
    quote_id, until = uuid7(), at + timedelta(minutes=settings.QUOTE_MINUTES)
    present = hold and bool(request.presence_code)
    if present:
        receipt = f"quote:{quote_id}"
        spend_code(check_presence(request, receipt=receipt, at=at), request.member_id, receipt=receipt, at=at)
    holds: dict[str, Any] = {"member_id": request.member_id, "business": request.business}
    held = None
    if hold and request.redeem:
        held = BonusHold.objects.create(**holds, amount=request.redeem, created_at=at, expires_at=until)
    quote = Quote.objects.create(
        id=quote_id,
        **holds,
        created_at=at,
        coupon_id=outcome.row.coupon_id,
        hold=held,
        holds=hold,
        content={name: _plain(getattr(request, name)) for name in CONTENT},
        promised=promise_of(outcome.row),
        presence_shown=present,
        expires_at=until,
    )
    return Quoted(
        quote=quote,
        row=outcome.row,
        max_redeemable=outcome.max_redeemable,
        available_from=at + timedelta(days=request.business.pending_days),
    )


@atomic
def cancel_quote(quote_id: UUID, *, business: Business, at: datetime) -> None:
    """Free what a quote sets aside; may be repeated. Raises QuoteNotFound. Locks the member."""
    quote = quote_of(quote_id, business=business)
    lock_members([quote.member_id])
    Quote.objects.filter(pk=quote_id, transaction=None, cancelled_at=None).update(
        cancelled_at=at, updated_at=at
    )
    if quote.hold_id:
        BonusHold.objects.filter(pk=quote.hold_id, released_at=None).update(released_at=at)


def quote_of(quote_id: UUID, *, business: Business) -> Quote:
    """Return the business's quote. Raises QuoteNotFound."""
    quote = Quote.objects.filter(pk=quote_id, business=business).first()
    if quote is None:
        raise QuoteNotFound(_("There is no such quote."), field="quote")
    return quote


def quoted_content(quote: Quote) -> dict[str, Any]:
    """Return what a purchase that names the quote takes from it, as fields of a PurchaseRequest."""
    content = quote.content
    return {
        "member_id": quote.member_id,
        "amount": Decimal(content["amount"]),
        "category": content["category"],
        "lines": content["lines"],
        "coupon_code": content["coupon_code"],
        "redeem": Decimal(content["redeem"]),
    }


def _plain(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, Decimal) else value
