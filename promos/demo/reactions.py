"""Invented visits to the chains' targets: how members of either arm react, with an effect put in on purpose.

Whoever drew an arm, coupon or hold-out, comes by themselves with one chance; whoever holds a coupon redeems
it with another. The first is the same in both arms, so the second is what the comparison should find.
"""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from promos.models import ChainAssignment, Coupon
from promos.services.checkout import record_many
from promos.services.purchases import PurchaseRequest, Status
from svoykrug.money import round_half_up

from .coalition import CHAINS

Arm = ChainAssignment.Arm
SOONEST = timedelta(hours=1)


def react(generator: random.Random, *, before: datetime, spare: UUID) -> int:
    """Record the visits through the same path as any purchase. Returns how many redeemed a coupon.

    before  no purchase is dated later
    spare   the member who is left alone
    """
    requests = []
    for demo in CHAINS:
        drawn = (
            ChainAssignment.objects.filter(chain__title=demo.title, arm__in=[Arm.TREATMENT, Arm.CONTROL])
            .exclude(member_id=spare)
            .select_related("coupon", "chain__target_business")
            .order_by("created_at", "member__card_number")
        )
        for assignment in drawn:
            own, redeemed = generator.random() * 100, generator.random() * 100
            if own < demo.own_percent:
                requests.append(_visit(generator, assignment, None, before))
            coupon = assignment.coupon
            if coupon and coupon.status == Coupon.Status.ISSUED and redeemed < demo.redeemed_percent:
                requests.append(_visit(generator, assignment, coupon, before))
    visits = [request for request in requests if request is not None]
    visits.sort(key=lambda request: (request.purchased_at or before, request.external_id or ""))
    outcomes = record_many(visits, at=before)
    return sum(
        bool(request.coupon_code) and outcome.status is Status.CREATED
        for request, outcome in zip(visits, outcomes, strict=True)
    )


def _visit(
    generator: random.Random, assignment: ChainAssignment, coupon: Coupon | None, before: datetime
) -> PurchaseRequest | None:
    """Return a purchase at the target while visits count and the coupon lives, rather soon than late."""
    chain = assignment.chain
    earliest = (coupon.valid_from if coupon else assignment.created_at) + SOONEST
    latest = min(before, assignment.created_at + timedelta(days=chain.attribution_days))
    if coupon:
        latest = min(latest, coupon.valid_until)
    share = generator.random() ** 2
    amount = max(Decimal(generator.lognormvariate(7.2, 0.7)), chain.coupon_min_amount + 100, Decimal(150))
    if earliest >= latest:
        return None
    return PurchaseRequest(
        business=chain.target_business,
        external_id=f"demo-{coupon.code if coupon else assignment.pk}",
        member_id=assignment.member_id,
        amount=round_half_up(amount),
        purchased_at=earliest + timedelta(seconds=int((latest - earliest).total_seconds() * share)),
        coupon_code=coupon.code if coupon else None,
        source="till",
    )
