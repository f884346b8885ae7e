"""Requests of a till, with what a test does not care about filled in."""

from datetime import timedelta
from decimal import Decimal as D

from loyalty.models import BonusEntry, BonusLot
from promos.services.checkout import record_purchase, record_refund
from promos.services.purchases import PurchaseRequest, RefundRequest
from tests.factories import NOON, BusinessFactory


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


def lots_of(member):
    """Return what is left of each lot and when it lapses, in the order of their opening."""
    return list(BonusLot.objects.filter(member=member).order_by("pk").values_list("remaining", "expires_at"))


def days(count):
    return timedelta(days=count)


def spend(member, amount, *, business=None, **fields):
    """Spend bonuses on a bill ten times as large, unless told otherwise at a business that gives none."""
    shop = business or BusinessFactory(can_accrue=False, requires_presence_code=False)
    bill = purchase(member, shop, amount=D(amount) * 10, redeem=D(amount), **fields)
    return record_purchase(bill, at=bill.purchased_at)[0]


def give_back(business, external_id, of, amount, *, at):
    """Refund a part of the purchase `of` at that moment."""
    return record_refund(refund(business, external_id, of, amount, purchased_at=at), at=at)[0]
