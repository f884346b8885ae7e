"""Requests of a till, with what a test does not care about filled in."""

from datetime import timedelta
from decimal import Decimal as D

from loyalty.models import BonusEntry
from promos.services.purchases import PurchaseRequest, RefundRequest
from tests.factories import NOON


def purchase(member, business, external_id="1001", amount="1000.00", **fields):
    fields.setdefault("purchased_at", NOON)
    return PurchaseRequest(
        business=business, external_id=external_id, member_id=member.pk, amount=D(amount), **fields
    )


def refund(business, external_id, refund_of, amount, **fields):
    fields.setdefault("purchased_at", NOON + timedelta(days=1))
    return RefundRequest(
        business=business, external_id=external_id, refund_of=refund_of, amount=D(amount), **fields
    )


def entries_of(member):
    return list(BonusEntry.objects.filter(member=member).order_by("pk").values_list("kind", "amount"))
