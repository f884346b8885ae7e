"""Invented purchases that redeem some of the coupons the real ones brought."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from promos.models import Coupon
from promos.services.checkout import record_many
from promos.services.purchases import PurchaseRequest, Status
from svoykrug.money import round_half_up

from .coalition import CHAINS


def _moment(generator: random.Random, earliest: datetime, latest: datetime) -> datetime:
    """Return a moment between them, to the second, rather soon than late."""
    seconds = (latest - earliest).total_seconds() * generator.random() ** 2
    return earliest + timedelta(seconds=int(seconds))


def redeem_some(generator: random.Random, *, before: datetime, spare: object) -> int:
    """Redeem each chain's share of coupons at its target, through the same path as any purchase.

    before  no purchase is dated later
    spare   the member whose coupons are left alone
    """
    requests = []
    for demo in CHAINS:
        coupons = (
            Coupon.objects.filter(chain__title=demo.title, valid_from__lt=before - timedelta(hours=3))
            .filter(status=Coupon.Status.ISSUED)
            .exclude(member_id=spare)
            .select_related("business")
            .order_by("valid_from", "member__card_number")
        )
        for coupon in coupons:
            if generator.randrange(100) >= demo.redeemed_percent:
                continue
            latest = min(coupon.valid_until, before)
            earliest = coupon.valid_from + timedelta(hours=1)
            if earliest >= latest:
                continue
            amount = max(Decimal(generator.lognormvariate(7.2, 0.7)), coupon.min_amount + 100, Decimal(150))
            requests.append(
                PurchaseRequest(
                    business=coupon.business,
                    external_id=f"demo-{coupon.code}",
                    member_id=coupon.member_id,
                    amount=round_half_up(amount),
                    purchased_at=_moment(generator, earliest, latest),
                    coupon_code=coupon.code,
                    source="till",
                )
            )
    requests.sort(key=lambda request: (request.purchased_at or before, request.external_id or ""))
    outcomes = record_many(requests, at=before)
    return sum(outcome.status is Status.CREATED for outcome in outcomes)
