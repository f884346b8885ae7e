"""Chains that a purchase triggers: which ones, for whom, and in which arm."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from loyalty.models import Business
from loyalty.rules import Tier
from promos.models import ChainAssignment, Coupon
from promos.rules import in_holdout, new_code, trigger_refusal
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write

from .chain_state import Chain, ChainState, Latest
from .explanation import rule
from .purchases import PurchaseRequest

Arm = ChainAssignment.Arm

COUPONS = {
    "id": "uuid", "created_at": "timestamptz", "updated_at": "timestamptz", "code": "text",
    "user_id": "uuid", "business_id": "uuid", "chain_id": "uuid", "status": "text", "benefit": "text",
    "benefit_value": "numeric", "benefit_text": "text", "min_amount": "numeric",
    "valid_from": "timestamptz", "valid_until": "timestamptz", "issued_for": "uuid",
}  # fmt: skip
ASSIGNMENTS = {
    "id": "uuid", "created_at": "timestamptz", "chain_id": "uuid", "user_id": "uuid", "trigger_id": "uuid",
    "arm": "text", "coupon_id": "uuid",
}  # fmt: skip
COUNT_ISSUED = """
    UPDATE cross_promo_chains SET issued_count = issued_count + r.count
    FROM {rows} WHERE cross_promo_chains.id = r.id
"""


class Triggers:
    """Decides the chains of purchases, and keeps what they bring for writing."""

    def __init__(self, state: ChainState, *, recorded_at: datetime) -> None:
        self.recorded_at = recorded_at
        self._state = state
        self._chains: dict[UUID, list[Chain]] = defaultdict(list)
        for chain in state.chains:
            self._chains[chain.source_business_id].append(chain)
        self._issued: dict[UUID, int] = defaultdict(int)
        self._coupons: list[Coupon] = []
        self._assignments: list[dict[str, Any]] = []

    def fire(
        self, request: PurchaseRequest, *, transaction_id: UUID, tier: Tier, at: datetime
    ) -> tuple[list[dict[str, Any]], list[Coupon]]:
        """Decide every chain of the purchase's business.

        Returns the rules looked at, for the explanation, and the coupons issued.
        """
        rules, coupons = [], []
        for chain in self._chains.get(request.business.pk, ()):
            if at < chain.accepted_at:
                continue  # Not agreed yet when this purchase happened: there was no such rule.
            latest = self._state.latest.get((chain.id, request.member_id))
            if latest and latest.until > at and latest.coupon_id is None:
                continue  # Still in the hold-out or left out, and nobody is told.
            reason, coupon = self._refusal(chain, request, latest=latest, tier=tier, at=at), None
            if reason is None:
                coupon = self._assign(chain, request.member_id, transaction_id, at)
                if coupon is None:
                    # The explanation goes to the till, too: it must tell neither the hold-out
                    # nor that the member buys at the target.
                    continue
                coupons.append(coupon)
            rules.append(
                rule(
                    "chain",
                    applied=coupon is not None,
                    reason=reason or "",
                    chain=str(chain.id),
                    title=chain.title,
                    target=chain.target_name,
                    coupon=coupon.code if coupon else None,
                )
            )
        if self._chains:
            self._state.visits[request.member_id, request.business.pk].append(at)
        return rules, coupons

    def redeemed(self, coupon: Coupon) -> None:
        """Note that a coupon was redeemed in this call, so the chain may issue the next one."""
        key = (coupon.chain_id, coupon.member_id)
        latest = self._state.latest.get(key)  # type: ignore[arg-type]
        if latest and latest.coupon_id == coupon.pk:
            del self._state.latest[key]  # type: ignore[arg-type]

    def write(self, write: Write) -> None:
        """Add coupons, assignments and the count against the chains' limits to a statement."""
        write.insert("coupons", COUPONS, [self._row(coupon) for coupon in self._coupons])
        write.insert("chain_assignments", ASSIGNMENTS, self._assignments)
        issued = [{"id": chain_id, "count": count} for chain_id, count in self._issued.items()]
        write.add(COUNT_ISSUED, {"id": "uuid", "count": "integer"}, issued)

    def _row(self, coupon: Coupon) -> dict[str, Any]:
        row = {str(field.column): getattr(coupon, field.attname) for field in Coupon._meta.concrete_fields}
        return row | {"updated_at": self.recorded_at}

    def _refusal(
        self,
        chain: Chain,
        request: PurchaseRequest,
        *,
        latest: Latest | None,
        tier: Tier,
        at: datetime,
    ) -> str | None:
        reason = trigger_refusal(
            chain,
            amount=request.amount,
            category=request.category,
            tier_level=tier.level,
            at=at,
            zone=timezone.get_default_timezone(),
        )
        if reason:
            return reason
        # Asked first: of members who still have a coupon nothing further is known.
        if latest and latest.until > at:
            return "one_live: the chain's last coupon is still live"
        if chain.trigger_first_purchase and any(
            visit < at for visit in self._state.visits[request.member_id, request.business.pk]
        ):
            return "first_purchase: the member has bought here before"
        if chain.total_limit is not None and chain.issued_count + self._issued[chain.id] >= chain.total_limit:
            return f"total_limit: all {chain.total_limit} are issued"
        if (
            chain.daily_limit is not None
            and self._state.issued_on[chain.id, timezone.localdate(at)] >= chain.daily_limit
        ):
            return f"daily_limit: all {chain.daily_limit} of the day are issued"
        return None

    def _assign(self, chain: Chain, member_id: UUID, transaction_id: UUID, at: datetime) -> Coupon | None:
        """Put the member into an arm; returns the coupon issued to the treatment arm."""
        since = at - timedelta(days=chain.exclude_target_customers_days)
        valid_from = at + timedelta(hours=chain.delay_hours)
        valid_until = valid_from + timedelta(days=chain.coupon_valid_days)
        coupon = None
        if any(since <= visit <= at for visit in self._state.visits[member_id, chain.target_business_id]):
            arm = Arm.SKIPPED
        elif in_holdout(chain.id, member_id, chain.holdout_percent):
            arm = Arm.CONTROL
        else:
            arm = Arm.TREATMENT
            coupon = Coupon(
                created_at=at,
                code=new_code(),
                member_id=member_id,
                business=Business(pk=chain.target_business_id, name=chain.target_name),
                chain_id=chain.id,
                benefit=chain.coupon_benefit,
                benefit_value=chain.coupon_value,
                benefit_text=chain.coupon_text,
                min_amount=chain.coupon_min_amount,
                valid_from=valid_from,
                valid_until=valid_until,
                issued_for_id=transaction_id,
            )
            self._coupons.append(coupon)
            self._issued[chain.id] += 1
            self._state.issued_on[chain.id, timezone.localdate(at)] += 1
        coupon_id = coupon.pk if coupon else None
        self._state.latest[chain.id, member_id] = Latest(coupon_id, valid_until)
        self._assignments.append(
            {
                "id": uuid7(), "created_at": at, "chain_id": chain.id, "user_id": member_id,
                "trigger_id": transaction_id, "arm": arm, "coupon_id": coupon_id,
            }
        )  # fmt: skip
        return coupon
