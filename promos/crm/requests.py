"""From what a CRM tells to what the checkout records: the member found, a cancellation's sum worked out."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from loyalty.models import Business, Transaction
from loyalty.selectors import active_members
from promos.services.purchases import PurchaseRequest, RefundRequest, Request

from .reading import Event, Fault, Skipped, Told

SOURCE = Transaction.Source.CRM


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of an event before the checkout: nothing is to be recorded.

    status  skipped, duplicate or rejected
    """

    status: str
    code: str
    detail: str
    transaction: str | None = None


def requests_of(events: Sequence[Event], business: Business) -> list[Request | Settled]:
    """Return for each event the request to record, or why there is none. Three queries at most."""
    told = [event for event in events if isinstance(event, Told)]
    members = active_members(
        phones={each.phone for each in told if each.phone},
        cards={each.card for each in told if each.card},
        business=business,
    )
    cancels = _Cancels([each for each in told if each.kind == "cancel"], told, business)
    found: list[Request | Settled] = []
    for event in events:
        if isinstance(event, Skipped):
            found.append(Settled("skipped", "skipped", event.why))
        elif isinstance(event, Fault):
            found.append(Settled("rejected", "unreadable", event.detail))
        else:
            found.append(_request(event, business, members, cancels))
    return found


def _request(
    told: Told, business: Business, members: dict[str, Any], cancels: "_Cancels"
) -> Request | Settled:
    member_id = members.get(f"phone:{told.phone}") or members.get(f"card:{told.card}")
    common = {
        "business": business, "external_id": told.external_id, "purchased_at": told.purchased_at,
        "category": told.category, "source": SOURCE,
    }  # fmt: skip
    if told.kind == "purchase":
        if member_id is None:
            return Settled("skipped", "member_not_found", _("The customer is no member of the circle."))
        assert told.amount is not None, "only a cancellation may leave it out"
        return PurchaseRequest(**common, member_id=member_id, amount=told.amount)
    # Whoever the refund names, a known purchase's member stands: phones change, cards are lost.
    amount = told.amount
    if told.kind == "cancel":
        left = cancels.left(told)
        if isinstance(left, Settled):
            return left
        amount = left
    return RefundRequest(**common, member_id=member_id, refund_of=told.refund_of, amount=amount)


class _Cancels:
    """What is left of purchases that are cancelled as a whole."""

    def __init__(self, cancels: list[Told], told: list[Told], business: Business) -> None:
        self.told = {each.external_id: each.amount for each in told if each.kind == "purchase"}
        self.stored: dict[str, tuple[Any, str, Decimal, Decimal]] = {}
        if not cancels:
            return
        names = {str(each.refund_of) for each in cancels} | {each.external_id for each in cancels}
        rows = Transaction.objects.filter(business=business, external_id__in=names).values_list(
            "external_id", "pk", "kind", "amount"
        )
        rows = list(rows)
        refunds = Transaction.objects.filter(refund_of__in=[row[1] for row in rows])
        given_back = dict(
            refunds.order_by().values_list("refund_of").annotate(sum=Sum("amount", filter=Q(kind="refund")))
        )
        self.stored = {
            name: (pk, kind, amount, amount + given_back.get(pk, Decimal(0)))
            for name, pk, kind, amount in rows
        }

    def left(self, told: Told) -> Decimal | Settled:
        """Return what to give back, or why nothing is."""
        if (own := self.stored.get(told.external_id)) and own[1] == Transaction.Kind.REFUND:
            return Settled("duplicate", "duplicate", "", str(own[0]))
        if purchase := self.stored.get(str(told.refund_of)):
            if purchase[3] <= 0:
                return Settled(
                    "skipped", "nothing_left", _("All of the purchase had been given back before.")
                )
            return purchase[3]
        amount = told.amount or self.told.get(str(told.refund_of))
        if amount is None:
            return Settled(
                "rejected",
                "purchase_unknown",
                _("The purchase «%(receipt)s» is not known yet. Apply this message again once it is.")
                % {"receipt": told.refund_of},
            )
        return amount
