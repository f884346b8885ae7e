"""A new sandbox is furnished: members with purchases, bonuses, tiers and coupons to try things on."""

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.transaction import atomic

from loyalty.models import ApiKey, Business, Member
from loyalty.services.api_keys import create_api_key
from loyalty.services.sandbox import open_sandbox
from promos.models import Benefit, Coupon
from promos.rules import new_code

from .checkout import record_purchase
from .checks import programme_start
from .purchases import PurchaseRequest

# Roubles that each member has spent: one of every tier.
SPENT = (Decimal("10000.00"), Decimal("40000.00"), Decimal("120000.00"), Decimal("320000.00"))
COUPON_PERCENT, COUPON_DAYS = Decimal(10), 365


@atomic
def create_test_key(
    *, business: Business, scopes: Collection[str], label: str, at: datetime
) -> tuple[ApiKey, str]:
    """Return a key of the business's sandbox and its secret, as `create_api_key` does.

    The first one opens the sandbox. With every later one the copy takes over the business's terms of
    that moment, and members without a coupon get another.
    """
    copy, is_new = open_sandbox(business, at=at)
    members = list(Member.with_sandboxes.filter(sandbox_members__sandbox=copy).order_by("phone"))
    if is_new:
        bought_at = max(at - timedelta(days=copy.pending_days), programme_start())
        for member, amount in zip(members, SPENT, strict=True):
            receipt = f"first-of-{member.card_number}"
            request = PurchaseRequest(copy, receipt, member.pk, amount, purchased_at=bought_at)
            record_purchase(request, at=at)
    holders = set(Coupon.objects.valid(at).filter(business=copy).values_list("member_id", flat=True))
    for member in members:
        if member.pk not in holders:
            Coupon.objects.create(
                code=new_code(),
                member=member,
                business=copy,
                benefit=Benefit.PERCENT,
                benefit_value=COUPON_PERCENT,
                valid_from=at,
                valid_until=at + timedelta(days=COUPON_DAYS),
            )
    return create_api_key(business=business, sandbox=copy, scopes=scopes, label=label)
