"""Chains that a purchase may trigger: which ones, for whom, and in which arm.

Loaded once for many purchases, then decided one by one in their order.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from loyalty.rules import Tier
from promos.models import ChainAssignment, Coupon, CrossPromoChain
from promos.rules import in_holdout, new_code, trigger_refusal
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write

from .explanation import rule
from .purchases import PurchaseRequest

Arm = ChainAssignment.Arm

# Most purchases trigger no chain; only whether there is one is asked for each.
ACTIVE = """
    SELECT id FROM cross_promo_chains
    WHERE status = 'active' AND source_business_id = ANY(%s::uuid[]) AND accepted_at <= %s
"""
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


@dataclass(slots=True)
class _Latest:
    """The member's latest assignment to a chain: until `until` another trigger brings nothing new."""

    coupon_id: UUID | None
    until: datetime


class Triggers:
    """Active chains of the purchases' businesses, with what is known of their members."""

    def __init__(
        self,
        active: Collection[UUID],
        requests: Collection[PurchaseRequest],
        *,
        members: Collection[UUID],
        recorded_at: datetime,
    ) -> None:
        """Read chains and what their conditions need of the members, who must be locked.

        active  ids of the chains that these purchases may trigger, from the rows of `ACTIVE`
        """
        self.recorded_at = recorded_at
        self._visits: dict[tuple[UUID, UUID], list[datetime]] = defaultdict(list)
        self._latest: dict[tuple[UUID, UUID], _Latest] = {}
        self._issued_on: dict[tuple[UUID, date], int] = defaultdict(int)
        self._issued: dict[UUID, int] = defaultdict(int)
        self._coupons: list[Coupon] = []
        self._assignments: list[tuple[Any, ...]] = []
        self._chains: dict[UUID, list[CrossPromoChain]] = defaultdict(list)
        chains = _lock_limited(active) if active else []
        for chain in chains:
            self._chains[chain.source_business_id].append(chain)
        if chains:
            times = [request.purchased_at or recorded_at for request in requests]
            self._load_visits(chains, list(members), since=min(times))
            self._load_latest(chains, list(members))
            self._load_daily_counts([chain for chain in chains if chain.daily_limit is not None])

    def _load_visits(self, chains: list[CrossPromoChain], members: list[UUID], *, since: datetime) -> None:
        at_targets = {chain.target_business_id for chain in chains}
        look_back = timedelta(days=max(chain.exclude_target_customers_days for chain in chains))
        at_sources = {chain.source_business_id for chain in chains if chain.trigger_first_purchase}
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT user_id, business_id, created_at FROM transactions
                WHERE user_id = ANY(%s) AND kind = 'purchase'
                    AND (business_id = ANY(%s) AND created_at >= %s OR business_id = ANY(%s))
                """,
                [members, list(at_targets), since - look_back, list(at_sources)],
            )
            for member_id, business_id, at in cursor.fetchall():
                self._visits[member_id, business_id].append(at)

    def _load_latest(self, chains: list[CrossPromoChain], members: list[UUID]) -> None:
        lives = {chain.pk: timedelta(days=chain.coupon_valid_days) for chain in chains}
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT DISTINCT ON (a.user_id, a.chain_id)
                       a.user_id, a.chain_id, a.coupon_id, a.created_at, c.status, c.valid_until
                FROM chain_assignments a LEFT JOIN coupons c ON c.id = a.coupon_id
                WHERE a.user_id = ANY(%s) AND a.chain_id = ANY(%s)
                ORDER BY a.user_id, a.chain_id, a.created_at DESC
                """,
                [members, list(lives)],
            )
            for member_id, chain_id, coupon_id, at, status, valid_until in cursor.fetchall():
                if coupon_id is None:
                    self._latest[chain_id, member_id] = _Latest(None, at + lives[chain_id])
                elif status == Coupon.Status.ISSUED:
                    self._latest[chain_id, member_id] = _Latest(coupon_id, valid_until)

    def _load_daily_counts(self, chains: list[CrossPromoChain]) -> None:
        issued = ChainAssignment.objects.filter(chain__in=chains, arm=Arm.TREATMENT)
        days = (
            issued.annotate(day=TruncDate("created_at"))
            .values_list("chain_id", "day")
            .annotate(count=Count("id"))
        )
        for chain_id, day, count in days:
            self._issued_on[chain_id, day] = count

    def fire(
        self, request: PurchaseRequest, *, transaction_id: UUID, tier: Tier, at: datetime
    ) -> tuple[list[dict[str, Any]], list[Coupon]]:
        """Decide every chain of the purchase's business.

        Returns the rules looked at, for the explanation, and the coupons issued.
        """
        rules, coupons = [], []
        for chain in self._chains.get(request.business.pk, ()):
            if chain.accepted_at is None or at < chain.accepted_at:
                continue  # Not agreed yet when this purchase happened: there was no such rule.
            latest = self._latest.get((chain.pk, request.member_id))
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
                    chain=str(chain.pk),
                    title=str(chain),
                    target=chain.target_business.name,
                    coupon=coupon.code if coupon else None,
                )
            )
        self._visits[request.member_id, request.business.pk].append(at)
        return rules, coupons

    def redeemed(self, coupon: Coupon) -> None:
        """Note that a coupon was redeemed in this call, so the chain may issue the next one."""
        key = (coupon.chain_id, coupon.member_id)
        latest = self._latest.get(key)  # type: ignore[arg-type]
        if latest and latest.coupon_id == coupon.pk:
            del self._latest[key]  # type: ignore[arg-type]

    def write(self, write: Write) -> None:
        """Add coupons, assignments and the count against the chains' limits to a statement."""
        write.insert("coupons", COUPONS, [self._row(coupon) for coupon in self._coupons])
        write.insert("chain_assignments", ASSIGNMENTS, self._assignments)
        write.add(COUNT_ISSUED, {"id": "uuid", "count": "integer"}, sorted(self._issued.items()))

    def _row(self, coupon: Coupon) -> tuple[Any, ...]:
        return (
            coupon.pk, coupon.created_at, self.recorded_at, coupon.code, coupon.member_id,
            coupon.business_id, coupon.chain_id, str(coupon.status), coupon.benefit, coupon.benefit_value,
            coupon.benefit_text, coupon.min_amount, coupon.valid_from, coupon.valid_until,
            coupon.issued_for_id,
        )  # fmt: skip

    def _refusal(
        self,
        chain: CrossPromoChain,
        request: PurchaseRequest,
        *,
        latest: _Latest | None,
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
        if chain.trigger_first_purchase and any(
            visit < at for visit in self._visits[request.member_id, request.business.pk]
        ):
            return "first_purchase: the member has bought here before"
        if latest and latest.until > at:
            return "one_live: the chain's last coupon is still live"
        if chain.total_limit is not None and chain.issued_count + self._issued[chain.pk] >= chain.total_limit:
            return f"total_limit: all {chain.total_limit} are issued"
        if (
            chain.daily_limit is not None
            and self._issued_on[chain.pk, timezone.localdate(at)] >= chain.daily_limit
        ):
            return f"daily_limit: all {chain.daily_limit} of the day are issued"
        return None

    def _assign(
        self, chain: CrossPromoChain, member_id: UUID, transaction_id: UUID, at: datetime
    ) -> Coupon | None:
        """Put the member into an arm; returns the coupon issued to the treatment arm."""
        since = at - timedelta(days=chain.exclude_target_customers_days)
        valid_from = at + timedelta(hours=chain.delay_hours)
        valid_until = valid_from + timedelta(days=chain.coupon_valid_days)
        coupon = None
        if any(since <= visit <= at for visit in self._visits[member_id, chain.target_business_id]):
            arm = Arm.SKIPPED
        elif in_holdout(chain.pk, member_id, chain.holdout_percent):
            arm = Arm.CONTROL
        else:
            arm = Arm.TREATMENT
            coupon = Coupon(
                created_at=at,
                code=new_code(),
                member_id=member_id,
                business=chain.target_business,
                chain_id=chain.pk,
                benefit=chain.coupon_benefit,
                benefit_value=chain.coupon_value,
                benefit_text=chain.coupon_text,
                min_amount=chain.coupon_min_amount,
                valid_from=valid_from,
                valid_until=valid_until,
                issued_for_id=transaction_id,
            )
            self._coupons.append(coupon)
            self._issued[chain.pk] += 1
            self._issued_on[chain.pk, timezone.localdate(at)] += 1
        coupon_id = coupon.pk if coupon else None
        self._latest[chain.pk, member_id] = _Latest(coupon_id, valid_until)
        self._assignments.append((uuid7(), at, chain.pk, member_id, transaction_id, str(arm), coupon_id))
        return coupon


def _lock_limited(active: Collection[UUID]) -> list[CrossPromoChain]:
    """Return these chains, oldest consent first.

    Those with a limit stay locked to the end of the transaction, so it is never overrun.
    """
    live = CrossPromoChain.objects.filter(pk__in=active)
    limited = Q(total_limit__isnull=False) | Q(daily_limit__isnull=False)
    chains = list(live.select_related("source_business", "target_business").order_by("accepted_at", "pk"))
    if any(chain.total_limit is not None or chain.daily_limit is not None for chain in chains):
        locked = live.filter(limited).select_for_update(no_key=True).order_by("pk")
        counts = {chain.pk: chain.issued_count for chain in locked}
        for chain in chains:
            chain.issued_count = counts.get(chain.pk, chain.issued_count)
    return chains
