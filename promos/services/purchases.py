"""What a till, a file or a CRM asks us to record, and what came of it.

checkout.py records these; nothing here touches the database.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from loyalty.models import Business
from svoykrug.errors import DomainError


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A purchase to record.

    amount        roubles before any discount, above zero, two decimals
    purchased_at  when it happened, aware; None is the moment of recording
    coupon_code   as the member shows it, any case, with or without hyphens
    """

    business: Business
    external_id: str | None
    member_id: UUID
    amount: Decimal
    purchased_at: datetime | None = None
    category: str = ""
    lines: list[dict[str, Any]] | None = None
    coupon_code: str | None = None
    source: str = "api"


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to record.

    amount     roubles given back, above zero, two decimals
    refund_of  external id of the purchase at the same business; None or "" is refused
    member_id  None takes the purchase's member
    """

    business: Business
    external_id: str | None
    refund_of: str | None
    amount: Decimal
    member_id: UUID | None = None
    purchased_at: datetime | None = None
    category: str = ""
    source: str = "api"


class Status(StrEnum):
    CREATED = "created"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request. `transaction_id` is set when created or duplicate; `error` when rejected."""

    status: Status
    transaction_id: UUID | None = None
    error: DomainError | None = None
    coupons_issued: tuple[str, ...] = field(default=())
