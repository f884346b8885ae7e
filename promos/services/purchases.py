"""What a till, a file or a CRM asks us to record, and what came of it.

checkout.py records these; nothing here touches the database.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from loyalty.models import Business
from loyalty.services.transactions import NewTransaction, Receipt
from promos.models import Coupon
from svoykrug.errors import DomainError
from svoykrug.money import ZERO


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A purchase to record.

    amount         roubles before any discount, above zero, two decimals
    purchased_at   when it happened, aware; None is the moment of recording
    coupon_code    as the member shows it, any case, with or without hyphens
    redeem         bonuses the member spends, zero or more
    presence_code  proves that the member is there, where the business asks for it
    till           the API key or the cashier, whose wrong codes are counted
    quote_id       the outcome must be the one that this quote promised
    """

    business: Business
    external_id: str | None
    member_id: UUID
    amount: Decimal
    purchased_at: datetime | None = None
    category: str = ""
    lines: list[dict[str, Any]] | None = None
    coupon_code: str | None = None
    redeem: Decimal = ZERO
    presence_code: str | None = None
    till: UUID | None = None
    quote_id: UUID | None = None
    source: str = "api"

    @property
    def line_categories(self) -> tuple[str, ...]:
        """The category of each line, the purchase's where a line names none; empty without lines."""
        return tuple(line.get("category") or self.category for line in self.lines or ())


@dataclass(frozen=True, slots=True)
class LineRefund:
    """A line of the purchase, counted from 1, and roubles of it; None is all that is left of it."""

    line: int
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to record.

    amount     roubles given back, above zero, two decimals; None when `lines` say it
    refund_of  external id of the purchase at the same business; None or "" is refused
    member_id  None takes the purchase's member
    lines      what of the purchase's lines is given back
    """

    business: Business
    external_id: str | None
    refund_of: str | None
    amount: Decimal | None = None
    member_id: UUID | None = None
    purchased_at: datetime | None = None
    category: str = ""
    lines: tuple[LineRefund, ...] = ()
    source: str = "api"


Request = PurchaseRequest | RefundRequest


def receipt_of(request: Request) -> Receipt:
    return request.business.id, str(request.external_id)


class Status(StrEnum):
    CREATED = "created"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request. `transaction_id` is set when created or duplicate; `error` when rejected.

    row             what is stored, when created
    coupons_issued  that the purchase brought
    max_redeemable  bonuses that the member could spend on the bill, where that was looked at
    """

    status: Status
    transaction_id: UUID | None = None
    error: DomainError | None = None
    row: NewTransaction | None = None
    coupons_issued: tuple[Coupon, ...] = ()
    max_redeemable: Decimal | None = None
