"""Chains that a purchase triggers: which ones, for whom, and in which arm."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.utils import timezone

from loyalty.models import Business, Notification
from loyalty.rules import Tier
from loyalty.services.messages import Message, queue_within
from loyalty.services.transactions import StoredTransaction
from promos.billing import Left
from promos.coupon_messages import ISSUED
from promos.coupon_wording import benefit_payload
from promos.models import ChainAssignment, Coupon
from promos.rules import in_holdout, new_code, trigger_refusal
from svoykrug.db.models import uuid7
from svoykrug.db.sql import Write
from svoykrug.money import ZERO

from .chain_state import PASSING, Chain, ChainState, Latest
from .cost_shares import CostShares
from .explanation import rule
from .purchases import PurchaseRequest

Arm, Reason = ChainAssignment.Arm, ChainAssignment.Reason

COUPONS = {
    "id": "uuid", "created_at": "timestamptz", "updated_at": "timestamptz", "code": "text",
    "user_id": "uuid", "business_id": "uuid", "chain_id": "uuid", "chain_version": "integer",
    "status": "text", "benefit": "text", "benefit_value": "numeric", "benefit_text": "text",
    "min_amount": "numeric",
    "valid_from": "timestamptz", "valid_until": "timestamptz", "issued_for": "uuid",
}  # fmt: skip
ASSIGNMENTS = {
    "id": "uuid", "created_at": "timestamptz", "chain_id": "uuid", "user_id": "uuid", "trigger_id": "uuid",
    "arm": "text", "reason": "text", "chain_version": "integer", "due_at": "timestamptz", "coupon_id": "uuid",
}  # fmt: skip
# The rows are held in the order of their keys: two calls that count for the same chains never meet crosswise.
COUNT = """
    UPDATE cross_promo_chains SET
        issued_count = issued_count + counted.issued, spent_rub = spent_rub + counted.spent
    FROM (
        SELECT c.id, r.issued, r.spent FROM {rows} JOIN cross_promo_chains c USING (id)
        ORDER BY c.id FOR NO KEY UPDATE OF c
    ) counted WHERE cross_promo_chains.id = counted.id
"""
COUNTED = {"id": "uuid", "issued": "integer", "spent": "numeric"}


def coupon_rows(coupons: Iterable[Coupon], *, recorded_at: datetime) -> list[dict[str, Any]]:
    """Return rows of new coupons for `COUPONS`."""
    fields = [field for field in Coupon._meta.concrete_fields if field.column in COUPONS]
    return [
        {str(field.column): getattr(coupon, field.attname) for field in fields} | {"updated_at": recorded_at}
        for coupon in coupons
    ]


def coupon_messages(coupons: Iterable[Coupon], sources: Mapping[UUID, str], *, at: datetime) -> list[Message]:
    """Return the messages that tell members of new coupons; one that has run out already tells nobody.

    sources  by coupon, the name of the business where the member bought
    """
    return [
        Message(
            member_id=coupon.member_id,
            template=ISSUED,
            payload=benefit_payload(coupon)
            | {
                "coupon": str(coupon.pk),
                "business": coupon.business.name,
                "source": sources[coupon.pk],
                "valid_until": coupon.valid_until.isoformat(),
            },
            purpose=Notification.Purpose.ADVERTISING,
            partner_id=coupon.business_id,
            dedupe_key=f"coupon:{coupon.pk}",
            send_after=at,
        )
        for coupon in coupons
        if coupon.valid_until > at
    ]


class CouponTerms(Protocol):
    """Terms of a coupon, of a chain as it runs or of a version."""

    coupon_benefit: str
    coupon_value: Decimal
    coupon_text: str
    coupon_min_amount: Decimal
    coupon_valid_days: int


class Triggers:
    """Decides the chains of purchases, and keeps what they bring for writing."""

    def __init__(self, state: ChainState, shares: CostShares, *, recorded_at: datetime) -> None:
        self.recorded_at = recorded_at
        self._state = state
        self._chains: dict[UUID, list[Chain]] = defaultdict(list)
        for chain in state.chains:
            self._chains[chain.source_business_id].append(chain)
        self._shares = shares
        self._issued: dict[UUID, int] = defaultdict(int)
        # The chain whose coupon the purchase that is being decided redeems.
        self._gone_through: UUID | None = None
        self._coupons: list[Coupon] = []
        self._sources: dict[UUID, str] = {}
        self._assignments: list[dict[str, Any]] = []

    def fire(
        self, request: PurchaseRequest, *, transaction_id: UUID, tier: Tier, at: datetime
    ) -> tuple[list[dict[str, Any]], list[Coupon]]:
        """Decide every chain of the purchase's business.

        Returns the rules looked at, for the explanation, and the coupons issued.
        """
        rules, coupons = [], []
        gone_through, self._gone_through = self._gone_through, None
        for chain in self._chains.get(request.business.id, ()):
            if at < chain.runs_since:
                continue  # Not agreed yet when this purchase happened: there was no such rule.
            latest = self._state.latest.get((chain.id, request.member_id))
            if latest and latest.until <= at:
                latest = None
            if latest and latest.coupon_id is None and not latest.passing:
                continue  # In the hold-out, left out, or a coupon is to come: nobody is told.
            reason, coupon = (
                self._refusal(chain, request, gone_through=gone_through, latest=latest, tier=tier, at=at),
                None,
            )
            if reason is None or reason.partition(":")[0] in PASSING:
                coupon = self._assign(
                    chain, request.member_id, transaction_id, at, latest=latest, reason=reason
                )
                if coupon:
                    coupons.append(coupon)
                    self._sources[coupon.pk] = request.business.name
                elif reason is None:
                    # The explanation goes to the till, too: it must tell neither the hold-out nor
                    # that the member buys at the target or consents to nothing.
                    continue
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
            self._state.visits[request.member_id, request.business.id].append(at)
        return rules, coupons

    def redeemed(self, coupon: Coupon, *, transaction_id: UUID, discount: Decimal, at: datetime) -> None:
        """Note that the purchase which is being decided redeems a coupon, before its chains are fired.

        discount  what the coupon took off, roubles
        """
        key = (coupon.chain_id, coupon.member_id)
        latest = self._state.latest.get(key)  # type: ignore[arg-type]
        if latest and latest.coupon_id == coupon.pk:
            del self._state.latest[key]  # type: ignore[arg-type]
        self._gone_through = coupon.chain_id
        self._shares.redeemed(coupon, transaction_id=transaction_id, discount=discount, at=at)

    def refunded(self, purchase: StoredTransaction, parts: Left, *, refund_id: UUID, at: datetime) -> None:
        """Note a refund, before it is counted into the totals of its purchase."""
        self._shares.refunded(purchase, parts, refund_id=refund_id, at=at)

    def write(self, write: Write) -> None:
        """Add coupons, assignments, messages, shares of cost and the counts of chains to a statement."""
        write.insert("coupons", COUPONS, coupon_rows(self._coupons, recorded_at=self.recorded_at))
        write.insert("chain_assignments", ASSIGNMENTS, self._assignments)
        queue_within(write, coupon_messages(self._coupons, self._sources, at=self.recorded_at))
        self._shares.write(write)
        spent = self._shares.spent
        counted = [
            {"id": pk, "issued": self._issued.get(pk, 0), "spent": spent.get(pk, ZERO)}
            for pk in self._issued.keys() | spent.keys()
        ]
        write.add(COUNT, COUNTED, counted)

    def _refusal(
        self,
        chain: Chain,
        request: PurchaseRequest,
        *,
        gone_through: UUID | None,
        latest: Latest | None,
        tier: Tier,
        at: datetime,
    ) -> str | None:
        reason = trigger_refusal(
            chain,
            amount=request.amount,
            categories=request.line_categories or (request.category,),
            tier_level=tier.level,
            at=at,
            zone=timezone.get_default_timezone(),
        )
        if reason:
            return reason
        # These two first: of members whom they stop nothing further is known.
        if chain.continues and chain.continues != gone_through:
            return "continues: a coupon of the chain before this one needed"
        if latest and latest.coupon_id:
            return "one_live: the chain's last coupon is still live"
        if chain.trigger_first_purchase and any(
            visit < at for visit in self._state.visits[request.member_id, request.business.id]
        ):
            return "first_purchase: the member has bought here before"
        if chain.budget_rub is not None and chain.spent_rub >= chain.budget_rub:
            return f"budget: all {chain.budget_rub} are spent"
        if chain.total_limit is not None and chain.issued_count + self._issued[chain.id] >= chain.total_limit:
            return f"total_limit: all {chain.total_limit} are issued"
        if (
            chain.daily_limit is not None
            and self._state.issued_on[chain.id, timezone.localdate(at)] >= chain.daily_limit
        ):
            return f"daily_limit: all {chain.daily_limit} of the day are issued"
        return None

    def _assign(
        self,
        chain: Chain,
        member_id: UUID,
        transaction_id: UUID,
        at: datetime,
        *,
        latest: Latest | None,
        reason: str | None,
    ) -> Coupon | None:
        """Put the member into an arm or leave them out; returns the coupon if it comes at once.

        reason  the limit that is met already, as the explanation tells it
        """
        left_out = reason.partition(":")[0] if reason else self._left_out(chain, member_id, at)
        if latest and left_out == latest.reason:
            return None  # Counted already.
        due_at = at + timedelta(hours=chain.delay_hours) if chain.delay_hours and not left_out else None
        coupon = None
        if left_out:
            arm = Arm.SKIPPED
        elif in_holdout(chain.id, member_id, chain.holdout_percent):
            arm = Arm.CONTROL
        else:
            arm = Arm.TREATMENT
            if due_at is None:
                business = Business(pk=chain.target_business_id, name=chain.target_name)
                coupon = new_coupon(
                    chain, chain.id, chain.version, member_id, business, transaction_id, at=at, created_at=at
                )
                self._coupons.append(coupon)
            # A delayed coupon is set aside from now on: the limit is met by triggers, not by the task.
            self._issued[chain.id] += 1
            self._state.issued_on[chain.id, timezone.localdate(at)] += 1
        coupon_id = coupon.pk if coupon else None
        until = (due_at or at) + timedelta(days=chain.coupon_valid_days)
        self._state.latest[chain.id, member_id] = Latest(coupon_id, until, left_out)
        self._assignments.append(
            {
                "id": uuid7(), "created_at": at, "chain_id": chain.id, "user_id": member_id,
                "trigger_id": transaction_id, "arm": arm, "reason": left_out,
                "chain_version": chain.version, "due_at": due_at, "coupon_id": coupon_id,
            }
        )  # fmt: skip
        return coupon

    def _left_out(self, chain: Chain, member_id: UUID, at: datetime) -> str:
        """Return why the chain leaves the member out, or nothing; asked of both arms, before the hold-out."""
        since = at - timedelta(days=chain.exclude_target_customers_days)
        if any(since <= visit <= at for visit in self._state.visits[member_id, chain.target_business_id]):
            return Reason.ALREADY_CUSTOMER
        if (member_id, chain.target_business_id) not in self._state.agreed:
            return Reason.NO_CONSENT
        return ""


def new_coupon(
    terms: CouponTerms,
    chain_id: UUID,
    version: int,
    member_id: UUID,
    business: Business,
    transaction_id: UUID,
    *,
    at: datetime,
    created_at: datetime,
) -> Coupon:
    """Return a coupon of these terms, not stored yet, valid from `at`."""
    return Coupon(
        created_at=created_at,
        code=new_code(),
        member_id=member_id,
        business=business,
        chain_id=chain_id,
        chain_version=version,
        benefit=terms.coupon_benefit,
        benefit_value=terms.coupon_value,
        benefit_text=terms.coupon_text,
        min_amount=terms.coupon_min_amount,
        valid_from=at,
        valid_until=at + timedelta(days=terms.coupon_valid_days),
        issued_for_id=transaction_id,
    )
