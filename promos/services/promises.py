"""Quotes that purchases name: the outcome must be the promised one, or nothing is stored."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from loyalty.services.transactions import NewTransaction
from promos.errors import QuoteChanged, QuoteNotFound
from promos.models import Quote
from svoykrug.db.sql import Write

from .purchases import PurchaseRequest

PROMISED = ("amount", "coupon_discount", "bonus_redeemed", "bonus_accrued")
KEEP = """
    UPDATE quotes SET transaction_id = r.transaction_id, updated_at = r.at
    FROM {rows} WHERE quotes.id = r.id
"""
RELEASE = "UPDATE bonus_holds SET released_at = r.at FROM {rows} WHERE bonus_holds.id = r.id"


def promise_of(row: NewTransaction) -> dict[str, str]:
    """Return the outcome that a quote promises."""
    return {name: f"{getattr(row, name):.2f}" for name in PROMISED}


class Promises:
    """The quotes that purchases of a call name; their members are locked."""

    def __init__(self) -> None:
        self._quotes: dict[UUID, Quote] = {}
        self._kept: list[tuple[Quote, UUID]] = []

    def load(self, quote_ids: Collection[UUID]) -> None:
        if quote_ids:
            self._quotes = Quote.objects.in_bulk(list(quote_ids))

    def claim(self, request: PurchaseRequest) -> Quote | None:
        """Return the quote that the purchase names.

        Raises QuoteNotFound, or QuoteChanged when it is another member's, used or cancelled.
        """
        if request.quote_id is None:
            return None
        quote = self._quotes.get(request.quote_id)
        if quote is None or quote.business_id != request.business.pk:
            raise QuoteNotFound(_("There is no such quote."), field="quote")
        if quote.member_id != request.member_id:
            raise _changed(["member"], _("The quote is for another member."))
        if quote.cancelled_at:
            raise _changed(["quote"], _("The quote was cancelled. Ask for a new one."))
        if quote.transaction_id:
            raise _changed(["quote"], _("The quote was used for another receipt."))
        return quote

    def compare(self, quote: Quote, row: NewTransaction) -> None:
        """Raise QuoteChanged, saying what differs, unless the purchase keeps the promise."""
        now = promise_of(row)
        if differing := [name for name in PROMISED if quote.promised[name] != now[name]]:
            changes = "; ".join(f"{name}: {quote.promised[name]} → {now[name]}" for name in differing)
            raise _changed(differing, _("The outcome has changed: %(changes)s.") % {"changes": changes})

    def keep(self, quote: Quote, row: NewTransaction) -> None:
        """Note that the purchase uses the quote up; nothing may refuse it any more."""
        self._kept.append((quote, row.id))
        quote.transaction_id = row.id

    def write(self, write: Write, *, at: datetime) -> None:
        """Add to a statement that the quotes are used and their bonuses are not set aside any more."""
        kept = [{"id": quote.pk, "transaction_id": key, "at": at} for quote, key in self._kept]
        write.add(KEEP, {"id": "uuid", "transaction_id": "uuid", "at": "timestamptz"}, kept)
        holds = [{"id": quote.hold_id, "at": at} for quote, _ in self._kept if quote.hold_id]
        write.add(RELEASE, {"id": "uuid", "at": "timestamptz"}, holds)


def live_hold(quote: Quote | None, *, at: datetime) -> UUID | None:
    """Return the hold that this quote's own bonuses are in, while it lasts."""
    return quote.hold_id if quote and quote.expires_at > at else None


def _changed(fields: list[str], detail: str) -> QuoteChanged:
    return QuoteChanged(detail, field="quote", fields=fields)
