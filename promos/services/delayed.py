"""Coupons that come some hours after the purchase that brought them: issued when the time has come."""

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db.transaction import atomic

from loyalty.models import Business
from loyalty.services.consents import ADVERTISABLE
from loyalty.services.messages import queue_within
from loyalty.services.webhooks.outbox import publish
from promos.chain_terms import thawed
from promos.models import ChainAssignment, CrossPromoChain
from svoykrug.db.sql import Write, read
from svoykrug.failpoints import failpoint
from svoykrug.money import ZERO

from .announcements import coupon_events
from .triggers import COUNT, COUNTED, COUPONS, coupon_messages, coupon_rows, new_coupon

Arm, Reason = ChainAssignment.Arm, ChainAssignment.Reason
AT_ONCE = 500
# Rows that another worker holds are its own affair. What a purchase is worth now, who consents now
# and whether the chain still runs is asked in the same statement, right before the coupon.
DUE = f"""
    SELECT a.id, a.arm, a.chain_id, a.chain_version, a.user_id, a.trigger_id, a.due_at, v.terms::text,
        c.coupon_benefit, c.coupon_value, c.coupon_text, c.coupon_min_amount, c.coupon_valid_days,
        c.trigger_min_amount, c.status, c.target_business_id, b.name, s.name,
        t.amount + coalesce((SELECT sum(r.amount) FROM transactions r WHERE r.refund_of = t.id), 0),
        {ADVERTISABLE.format(member="a.user_id", channel="'inapp'", partner="c.target_business_id")}
    FROM chain_assignments a
    JOIN transactions t ON t.id = a.trigger_id
    JOIN cross_promo_chains c ON c.id = a.chain_id
    JOIN businesses b ON b.id = c.target_business_id
    JOIN businesses s ON s.id = c.source_business_id
    LEFT JOIN chain_versions v ON v.chain_id = a.chain_id AND v.version = a.chain_version
    WHERE a.due_at <= %s ORDER BY a.due_at, a.id LIMIT %s
    FOR UPDATE OF a SKIP LOCKED
"""  # noqa: S608  our own text
DECIDE = """
    UPDATE chain_assignments SET arm = r.arm, reason = r.reason, coupon_id = r.coupon_id, due_at = NULL
    FROM {rows} WHERE chain_assignments.id = r.id
"""
DECIDED = {"id": "uuid", "arm": "text", "reason": "text", "coupon_id": "uuid"}


@dataclass(slots=True)
class Due:
    """An assignment whose time has come, the terms that brought it, and what is asked again.

    left  roubles of the purchase that are not refunded
    """

    id: UUID
    arm: str
    chain_id: UUID
    version: int
    member_id: UUID
    trigger_id: UUID
    due_at: datetime
    terms: Any
    status: str
    business: Business
    source: str
    left: Decimal
    agrees: bool


def issue_delayed_coupons(*, at: datetime) -> int:
    """Issue the coupons that are due; returns how many. May run twice, and by two workers at once.

    No coupon, and no message, for a member who has withdrawn the consent meanwhile, a purchase that
    is refunded below the chain's least bill, or a chain that was stopped. The hold-out is asked the
    same, so that both arms lose the same members. Holds the assignments, then the chains.
    """
    issued = 0
    while True:
        with atomic():
            found = [_due(row) for row in read((DUE, [at, AT_ONCE]))[0]]
            coupons = _decide(found, at=at)
            failpoint("delayed-before-commit")
        failpoint("delayed-after-commit")
        issued += coupons
        if len(found) < AT_ONCE:
            return issued


def _due(row: tuple[Any, ...]) -> Due:
    frozen = row[7]
    if frozen is None:
        names = ("coupon_benefit", "coupon_value", "coupon_text", "coupon_min_amount", "coupon_valid_days",
                 "trigger_min_amount")  # fmt: skip
        terms = dict(zip(names, row[8:14], strict=True))
    else:
        terms = thawed(json.loads(frozen))
    status, target_id, name, source, left, agrees = row[14:]
    business = Business(pk=target_id, name=name)
    return Due(*row[:7], SimpleNamespace(**terms), status, business, source, left, agrees)  # type: ignore[call-arg]


def _refusal(due: Due, *, at: datetime) -> str:
    if due.status != CrossPromoChain.Status.ACTIVE:
        return Reason.STOPPED
    if due.left <= 0 or due.left < due.terms.trigger_min_amount:
        return Reason.REFUNDED
    if due.due_at + timedelta(days=due.terms.coupon_valid_days) <= at:
        return Reason.LATE
    return "" if due.agrees else Reason.NO_CONSENT


def _decide(found: list[Due], *, at: datetime) -> int:
    decided, coupons, sources = [], [], {}
    returned: dict[UUID, int] = defaultdict(int)
    for due in found:
        reason, coupon = _refusal(due, at=at), None
        if due.arm == Arm.TREATMENT and not reason:
            coupon = new_coupon(
                due.terms, due.chain_id, due.version, due.member_id, due.business, due.trigger_id,
                at=due.due_at, created_at=at,
            )  # fmt: skip
            coupons.append(coupon)
            sources[coupon.pk] = due.source
        elif due.arm == Arm.TREATMENT:
            # It was set aside by the trigger; another member may have it.
            returned[due.chain_id] += 1
        decided.append(
            {
                "id": due.id, "arm": Arm.SKIPPED if reason else due.arm, "reason": reason,
                "coupon_id": coupon.pk if coupon else None,
            }
        )  # fmt: skip
    write = Write()
    write.insert("coupons", COUPONS, coupon_rows(coupons, recorded_at=at))
    queue_within(write, coupon_messages(coupons, sources, at=at))
    publish(write, coupon_events(coupons), at=at)
    write.add(COUNT, COUNTED, [{"id": pk, "issued": -n, "spent": ZERO} for pk, n in returned.items()])
    write.add(DECIDE, DECIDED, decided)
    write.execute()
    return len(coupons)
